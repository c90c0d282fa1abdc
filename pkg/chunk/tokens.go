package chunk

import (
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
	"unicode"
	"unicode/utf8"

	"github.com/tiktoken-go/tokenizer"
)

var cl100k = sync.OnceValue(newCounter)

// countTokens returns the number of cl100k_base tokens in s.
//
// The count is additive where a line with text begins: the pattern that cuts
// text before byte pairs are merged has no alternative that goes on behind
// white space that ends with a line ending. Nor has it one that goes on at a
// space behind something else than white space, which is where words begin.
func countTokens(s string) int {
	c, n, start := cl100k(), 0, 0
	for i := 1; i < len(s); i++ {
		if s[i] != ' ' || i == start || endsWithSpace(s[:i]) {
			continue
		}
		n += c.word(s[start:i])
		start = i
	}
	return n + c.word(s[start:])
}

func endsWithSpace(s string) bool {
	r, _ := utf8.DecodeLastRuneInString(s)
	return unicode.IsSpace(r)
}

const (
	rememberedWords = 1 << 14
	longestWord     = 32 // bytes; longer ones seldom come again
)

// counter counts the tokens of words, and remembers those of short ones: a few
// words make up most of any text. Two words of one slot replace each other.
type counter struct {
	codec tokenizer.Codec
	seed  maphash.Seed
	words [rememberedWords]atomic.Pointer[counted]
}

type counted struct {
	word   string
	tokens int
}

func newCounter() *counter {
	codec, err := tokenizer.Get(tokenizer.Cl100kBase)
	if err != nil {
		panic(err) // the vocabulary is compiled in
	}
	return &counter{codec: codec, seed: maphash.MakeSeed()}
}

func (c *counter) word(s string) int {
	if len(s) > longestWord {
		return c.count(s)
	}
	slot := &c.words[maphash.String(c.seed, s)%rememberedWords]
	if known := slot.Load(); known != nil && known.word == s {
		return known.tokens
	}
	known := &counted{strings.Clone(s), c.count(s)}
	slot.Store(known)
	return known.tokens
}

func (c *counter) count(s string) int {
	n, err := c.codec.Count(s)
	if err != nil {
		return len(s) // no text has more tokens than bytes
	}
	return n
}
