package chunk

import (
	"strings"
	"testing"
)

// TestCountIsAdditive checks the fact that saves counting twice: where a line
// with text begins, a text can be counted in two parts.
func TestCountIsAdditive(t *testing.T) {
	t.Parallel()
	documents := sample(t)
	for i, left := range []string{"a\n", "a.\n", "a)\r\n\r\n", "1 \t\n", "'\n", "a\u00a0\n \n", "\r", "好。\n\n\n", "```\n", "}\n\t\n"} {
		for _, right := range []string{"a", " a", "\ta", "    ...", "\u00a0x", "'s", "\u2003\u2003.", "1", "  好", "\f!"} {
			documents[string(rune('a'+i))+right] = left + right + left
		}
	}
	for path, src := range documents {
		sum, at := 0, 0
		for end := range src {
			if end == 0 || src[end-1] != '\n' && src[end-1] != '\r' || src[end] == '\n' || startsBlankLine(src[end:]) {
				continue
			}
			sum += countTokens(src[at:end])
			at = end
		}
		if sum += countTokens(src[at:]); sum != countTokens(src) {
			t.Errorf("%s: %d tokens in lines, %d in all", path, sum, countTokens(src))
		}
	}
}

func startsBlankLine(s string) bool {
	line, _, _ := strings.Cut(strings.ReplaceAll(s, "\r", "\n"), "\n")
	return strings.TrimSpace(line) == ""
}
