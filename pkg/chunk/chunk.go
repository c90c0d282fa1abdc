// Package chunk packs a markdown document into passages for embedding.
//
// The tree of sections decides where passages end. A section that fits into
// one passage is one; of a larger one, the text before its first subsection is
// packed block by block, and every subsection is treated in the same way. No
// other passage crosses a heading, so that an edit changes the passages of the
// section that it is in and no others. Only headings with no text of their own
// go with what follows them.
package chunk

import (
	"io"
	"iter"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/markdown"
)

// Options say how large passages are. The zero value stands for the defaults.
type Options struct {
	Tokens  int // most tokens in a passage; 400 if it is 0
	Overlap int // most tokens that a passage repeats from the one before it; at most Tokens/2 is used

	// Title is the document's title, embedded before the heading path where
	// that does not begin with it. It is empty for a document without a title
	// of its own, as one that is called by the name of its file.
	Title string

	Syntax markdown.Syntax // of the document; see [markdown.SyntaxOf]
	Window int             // bytes of the source that the scanner holds; see [markdown.Options]

	// Count counts tokens; nil counts those of cl100k_base, which OpenAI's
	// embedding models use. It must be additive where a line with text begins:
	// Count(a+b) == Count(a)+Count(b) if a ends with a line ending and b begins
	// with a line that is not blank.
	Count func(string) int
}

// OptionsOf returns the options that cut a document as the passages of a space
// are cut. All that cuts documents takes them from here, so that the same
// document always gives the same passages.
func OptionsOf(chunking document.Chunking, of document.SourceInfo) Options {
	return Options{
		Tokens:  chunking.Tokens,
		Overlap: chunking.Overlap,
		Title:   of.Title,
		Syntax:  markdown.SyntaxOf(of.MediaType, of.Key),
	}
}

const defaultTokens = 400

// maxTokenBytes bounds a passage where its tokens do not, as in long runs of
// dashes or spaces: it has at most so many bytes for each token it may have.
const maxTokenBytes = 64

// Split yields the passages of the document that r reads, in order. A read
// error, wrapped, is the last thing it yields.
//
// Passages are verbatim ranges of the source. Together they cover all of it
// but white space, as unicode.IsSpace defines it, a byte order mark and front
// matter that is no text; see [markdown.FrontMatter]. What is embedded of a
// passage has at most opt.Tokens tokens, but for a single rune that has more
// by itself.
//
// Memory is bounded by opt.Tokens, whatever the size of the document.
func Split(r io.Reader, opt Options) iter.Seq2[Passage, error] {
	if opt.Tokens <= 0 {
		opt.Tokens = defaultTokens
	}
	opt.Overlap = max(0, min(opt.Overlap, opt.Tokens/2))
	if opt.Count == nil {
		opt.Count = countTokens
	}
	return func(yield func(Passage, error) bool) {
		p := newPacker(opt, yield)
		p.scan(r)
	}
}
