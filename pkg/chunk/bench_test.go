package chunk

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// BenchmarkSplit packs the corpus: counting the tokens of the default
// encoding, and counting bytes, which leaves the cost of everything else.
// Tokenizer is the tokenizer alone, on all of the text at once.
func BenchmarkSplit(b *testing.B) {
	var all strings.Builder
	files := corpus(b)
	for _, path := range slices.Sorted(maps.Keys(files)) {
		all.WriteString(files[path])
		all.WriteByte('\n')
	}
	src := all.String()
	run := func(opt Options) func(*testing.B) {
		return func(b *testing.B) {
			b.SetBytes(int64(len(src)))
			b.ReportAllocs()
			for b.Loop() {
				for _, err := range Split(strings.NewReader(src), opt) {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
		}
	}
	b.Run("Tokens", run(Options{}))
	b.Run("Bytes", run(Options{Tokens: 4 * defaultTokens, Count: func(s string) int { return len(s) }}))
	b.Run("Tokenizer", func(b *testing.B) {
		b.SetBytes(int64(len(src)))
		for b.Loop() {
			tokenizerCount(src)
		}
	})
}
