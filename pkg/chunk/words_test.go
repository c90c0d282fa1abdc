package chunk

import (
	"strings"
	"testing"
)

// TestCountWordByWord checks that counting words, most of them from memory, is
// counting the text.
func TestCountWordByWord(t *testing.T) {
	t.Parallel()
	documents := sample(t)
	for i, left := range []string{"a", "a.", "(", "1", "'", "好", "말", "a\u00a0", "a\u3000", "a\u0085", "a\n", "a\t", "\xff", "\xc2", ";\n", "don't", strings.Repeat("x", 2*longestWord)} {
		for j, right := range []string{" b", "  b", " ", " \n", " 1", " .", " '", " 好", "\u00a0 b", " \u00a0b", " \xa0", " \t b"} {
			documents[string(rune('a'+i))+string(rune('a'+j))] = left + right + left
		}
	}
	for path, src := range documents {
		want := cl100k().count(src)
		for _, memory := range []string{"empty", "full"} {
			if got := countTokens(src); got != want {
				t.Errorf("%s: %d tokens in words (memory %s), %d in all", path, got, memory, want)
			}
		}
	}
}
