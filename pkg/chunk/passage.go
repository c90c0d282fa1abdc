package chunk

import (
	"strings"

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

// HeadingPath returns the texts of the enclosing headings, outermost first.
func (p Passage) HeadingPath() []string {
	path := make([]string, len(p.Headings))
	for i, h := range p.Headings {
		path[i] = h.Text
	}
	return path
}

// EmbeddingText returns what is embedded and hashed: the heading path on a
// line of its own, the context, and the content.
func (p Passage) EmbeddingText() string {
	var b strings.Builder
	if len(p.Headings) > 0 {
		b.WriteString(strings.Join(p.HeadingPath(), " > "))
		b.WriteString("\n\n")
	}
	if p.Context != "" {
		b.WriteString(p.Context)
		b.WriteString("\n")
	}
	b.WriteString(p.Content)
	return b.String()
}
