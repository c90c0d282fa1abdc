package chunk

import (
	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/markdown"
)

// Passage is a verbatim byte range of a document.
type Passage struct {
	Ordinal    int                // position among the passages of the document, from 0
	Start, End int64              // byte range; Content == source[Start:End]
	Headings   []markdown.Heading // headings that enclose the complete passage, outermost first

	// PassageText is the text of the passage and what is embedded with it. HeadingPath has the
	// texts of Headings; the middle of a path that is too long is replaced by an ellipsis. Context
	// is the header and delimiter row of the table that the passage continues, or the column
	// headers that fit.
	document.PassageText
}
