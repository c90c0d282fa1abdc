package chunk

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// BenchmarkSplit splits the corpus. Tokens counts tokens of the default encoding. Bytes counts
// bytes, so it measures everything else. Tokenizer measures only the tokenizer library, on the
// complete text.
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
