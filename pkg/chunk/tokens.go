package chunk

import (
	"sync"
	"unicode/utf8"

	"github.com/tiktoken-go/tokenizer"
)

// countTokens returns the number of cl100k_base tokens in s, as the tokenizer
// counts them: the pattern of the encoding cuts s into pieces, and a piece that
// is no token itself is cut into bytes, of which pairs are merged.
//
// The count is additive where a line with text begins: the pattern has no
// alternative that goes on behind white space that ends with a line ending.
func countTokens(s string) int {
	if !utf8.ValidString(s) {
		s = string([]rune(s)) // so does the tokenizer: one replacement character for each byte
	}
	c, n := cl100k(), 0
	for len(s) > 0 {
		size := c.pretokenSize(s)
		n += c.count(s[:size])
		s = s[size:]
	}
	return n
}

var cl100k = sync.OnceValue(func() tokenCounter { return tokenCounter{newClassTable(), newVocabulary()} })

type tokenCounter struct {
	*classTable
	*vocabulary
}

// tokenizerCount is the tokenizer's own way to count tokens, which takes
// several times as long.
func tokenizerCount(s string) int {
	n, err := cl100kCodec().Count(s)
	if err != nil {
		return len(s) // no text has more tokens than bytes
	}
	return n
}

var cl100kCodec = sync.OnceValue(newCodec)

func newCodec() tokenizer.Codec {
	codec, err := tokenizer.Get(tokenizer.Cl100kBase)
	if err != nil {
		panic(err) // the vocabulary is compiled in
	}
	return codec
}
