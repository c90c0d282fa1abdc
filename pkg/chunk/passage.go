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
	Context    string             // header and delimiter row of the table that the passage continues, else empty
	Content    string
	Tokens     int // of Content
}

// Placed returns where the passage stands and what it says, as stores have it.
func (p Passage) Placed() (document.Place, document.Text) {
	text := p.Text()
	return document.Place{Hash: text.Name(), Ordinal: p.Ordinal, Start: p.Start, End: p.End}, text
}

// Text returns what the passage says, without where.
func (p Passage) Text() document.Text {
	path := make([]string, len(p.Headings))
	for i, h := range p.Headings {
		path[i] = h.Text
	}
	return document.Text{HeadingPath: path, Context: p.Context, Content: p.Content, Tokens: p.Tokens}
}
