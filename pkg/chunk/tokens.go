package chunk

import (
	"sync"
	"unicode/utf8"

	"github.com/tiktoken-go/tokenizer"
)

// countTokens returns the number of cl100k_base tokens of s, as the tokenizer counts them. The
// pattern of the encoding splits s into pretokens. A pretoken that is not a token is split into
// bytes, and pairs of them are merged.
//
// The count is additive at the start of a line that is not blank: no alternative of the pattern
// continues after white space that ends with a line ending.
func countTokens(s string) int {
	if !utf8.ValidString(s) {
		s = string([]rune(s)) // like the tokenizer: one replacement character for each invalid byte
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

// tokenizerCount returns the number of tokens of s as the tokenizer library counts them. It takes
// several times as long as countTokens.
func tokenizerCount(s string) int {
	n, err := cl100kCodec().Count(s)
	if err != nil {
		return len(s) // a text has at most one token for each byte
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
