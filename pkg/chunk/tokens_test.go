package chunk

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
)

// TestCountTokens checks that countTokens counts as the tokenizer library does. The ends of
// passages depend on it.
func TestCountTokens(t *testing.T) {
	t.Parallel()
	check := func(s string) {
		t.Helper()
		if got, want := countTokens(s), tokenizerCount(s); got != want {
			t.Errorf("%d tokens in %q, the tokenizer counts %d", got, s, want)
		}
	}
	for _, src := range sample(t) {
		for line := range strings.Lines(src) {
			check(line)
		}
		check(src)
	}
	for _, name := range []string{"commonmark.json", "gfm.json"} {
		text, err := os.ReadFile(filepath.Join("..", "markdown", "testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		var examples []struct{ Markdown, HTML string }
		if err := json.Unmarshal(text, &examples); err != nil || len(examples) < 10 {
			t.Fatalf("%s: %d examples, %v", name, len(examples), err)
		}
		for _, example := range examples {
			check(example.Markdown)
			check(example.HTML)
		}
	}
	random := rand.New(rand.NewPCG(5, 6))
	for range 20_000 {
		check(randomText(random))
	}
	for _, size := range []int{1, 2, maxMergedBytes - 1, maxMergedBytes, maxMergedBytes + 1, 3000} {
		check(strings.Repeat("xq", size)[:size])
		check(strings.Repeat(" ", size) + "x")
		check(strings.Repeat("-", size))
		check(strings.Repeat("言語", size))
	}
}

// randomText returns a text of characters from the classes that the encoding distinguishes, and of
// others.
func randomText(random *rand.Rand) string {
	distinguished := []rune("aabstmdrvleEL ſK'''’  \t\n\r\v\u0085\u00a0\u2003\u3000\u200b019²½٣Ⅷ.,-_/#|好말ćǅʰ\u0301\u0e33\ufffd𝒜🤷\U0002a6df")
	common := []string{"the ", " grain", "'ll", "'RE", "tion", "    ", "\r\n", "```", "https://", "水磨把"}
	var text strings.Builder
	for range random.IntN(24) {
		switch random.IntN(12) {
		case 0:
			text.WriteRune(rune(random.IntN(unicode.MaxRune + 1)))
		case 1:
			text.WriteByte(byte(random.IntN(256)))
		case 2:
			text.WriteString(common[random.IntN(len(common))])
		case 3:
			text.WriteRune(rune(random.IntN(0x3000)))
		default:
			text.WriteRune(distinguished[random.IntN(len(distinguished))])
		}
	}
	return text.String()
}

func FuzzCountTokens(f *testing.F) {
	for _, seed := range seeds {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, want := countTokens(s), tokenizerCount(s); got != want {
			t.Errorf("%d tokens in %q, the tokenizer counts %d", got, s, want)
		}
	})
}

// TestVocabularyIsComplete checks that every token has its rank, and that there are no more tokens.
func TestVocabularyIsComplete(t *testing.T) {
	t.Parallel()
	v, codec := cl100k(), newCodec()
	for rank := range uint(100_256) {
		token, err := codec.Decode([]uint{rank})
		if err != nil {
			t.Fatal(err)
		}
		if got := v.rank(token, 0, len(token)); got != uint32(rank) {
			t.Fatalf("%q has rank %d, want %d", token, got, rank)
		}
	}
	if token, err := codec.Decode([]uint{100_256}); err == nil {
		t.Errorf("the encoding has more tokens than the test checks: %q", token)
	}
}

// TestCountIsAdditive checks that a text can be counted in two parts that are split at the start of
// a line that is not blank. The packer relies on it to count each line once.
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
			t.Errorf("%s: the lines have %d tokens, the complete text has %d", path, sum, countTokens(src))
		}
	}
}

func startsBlankLine(s string) bool {
	line, _, _ := strings.Cut(strings.ReplaceAll(s, "\r", "\n"), "\n")
	return strings.TrimSpace(line) == ""
}
