package chunk

import (
	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/markdown"
)

// Passage is a verbatim range of a document.
type Passage struct {
	Ordinal    int                // 0 for the first passage of the document
	Start, End int64              // byte range of the source; Content == source[Start:End]
	Headings   []markdown.Heading // the headings that enclose the whole passage, outermost first

	// Text is what the passage says. Its heading path is that of Headings, of
	// which the middle may be left out; its context is the header and delimiter
	// row of the table that the passage continues, or what there is room for.
	document.PassageText
}
