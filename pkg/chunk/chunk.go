package chunk

import (
	"io"
	"iter"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/markdown"
)

// Options say how a document is split. Every field may be zero.
type Options struct {
	// Tokens is the maximum number of tokens of a passage's embedding input: its content with the
	// title, the heading path and the table header that are embedded with it. 0 means 400.
	Tokens int

	// Overlap is the maximum number of tokens that a passage repeats from the one before it. At
	// most Tokens/2 is used. 0 means no overlap.
	Overlap int

	// Title is the document's title. It is embedded before the heading path unless the path begins
	// with it. Leave it empty if the document has no title of its own, only the name of a file.
	Title string

	// Syntax is the syntax of the document. The zero value is CommonMark with the GitHub
	// extensions; [markdown.SyntaxOf] returns the syntax for a media type and a file name.
	Syntax markdown.Syntax

	// Window is the number of bytes of the document that the scanner holds in memory. 0 means 256
	// KiB; see [markdown.Options].
	Window int

	// Count counts the tokens of a text. nil means cl100k_base, which OpenAI's embedding models
	// use; its table of 8 MiB is built at the first use. A count must be additive at the start of a
	// line that is not blank: Count(a+b) == Count(a)+Count(b) if a ends with a line ending and b
	// begins with such a line.
	Count func(string) int
}

// OptionsOf returns the options with which the server splits a document. All code that splits
// documents of a collection uses them, so that the same document always has the same passages.
func OptionsOf(chunking document.Chunking, source document.SourceInfo) Options {
	return Options{
		Tokens:  chunking.Tokens,
		Overlap: chunking.Overlap,
		Title:   source.Title,
		Syntax:  markdown.SyntaxOf(source.MediaType, source.Key),
	}
}

const defaultTokens = 400

// maxTokenBytes is the maximum size of a passage in bytes for each token that it may have. It
// bounds passages whose tokens are very long, such as long runs of dashes or spaces.
const maxTokenBytes = 64

// Split reads a document from r and yields its passages in order. If reading fails, Split yields
// the wrapped error last. The sequence reads r while it is iterated, so it can be used once.
//
// Passages are verbatim byte ranges of the document. Together they cover all of it except white
// space (unicode.IsSpace), a byte order mark, and front matter that is metadata; see
// [markdown.ParseFrontMatter]. The EmbeddingInput of a passage has at most opt.Tokens tokens. The
// only exception is a passage of a single rune that has more.
//
// The memory used depends on opt.Tokens and opt.Window, not on the size of the document.
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
