package chunk

import (
	"sync"

	"github.com/tiktoken-go/tokenizer"
)

var cl100k = sync.OnceValue(func() tokenizer.Codec {
	codec, err := tokenizer.Get(tokenizer.Cl100kBase)
	if err != nil {
		panic(err) // the vocabulary is compiled in
	}
	return codec
})

// countTokens returns the number of cl100k_base tokens in s.
//
// The count is additive where a line with text begins: the pattern that cuts
// text before byte pairs are merged has no alternative that goes on behind
// white space that ends with a line ending.
func countTokens(s string) int {
	n, err := cl100k().Count(s)
	if err != nil {
		return len(s) // no text has more tokens than bytes
	}
	return n
}
