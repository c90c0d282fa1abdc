// Package chunk packs a markdown document into passages for embedding.
package chunk

import (
	"bytes"
	"io"
	"iter"
	"strings"

	"github.com/seed-7a112592/gristmill/pkg/markdown"
	"github.com/tiktoken-go/tokenizer"
)

// Options say how large passages are. The zero value is the default.
type Options struct {
	Tokens  int              // most tokens of a passage; 400 when 0
	Overlap int              // most tokens that a passage repeats of the one before it
	Count   func(string) int // counts tokens; cl100k_base when nil
}

// Passage is a verbatim range of a document.
type Passage struct {
	Ordinal    int
	Start, End int64              // byte range of the source; Content == source[Start:End]
	Headings   []markdown.Heading // the headings that enclose the whole passage, outermost first
	Context    string             // header and delimiter row of the table that this passage continues; else empty
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

// EmbeddingText returns what is embedded and hashed.
func (p Passage) EmbeddingText() string {
	return strings.Join(append(p.HeadingPath(), p.Context, p.Content), "\n")
}

// Split yields the passages of the document that r reads.
func Split(r io.Reader, opt Options) iter.Seq2[Passage, error] {
	return func(yield func(Passage, error) bool) {
		codec, err := tokenizer.Get(tokenizer.Cl100kBase)
		if err != nil {
			yield(Passage{}, err)
			return
		}
		n := 0
		for piece, err := range markdown.Scan(r) {
			if err != nil {
				yield(Passage{}, err)
				return
			}
			if piece.Blank {
				continue
			}
			text := string(bytes.TrimRight(piece.Text, "\r\n"))
			count, _ := codec.Count(text)
			if !yield(Passage{Ordinal: n, Start: piece.Start, End: piece.Start + int64(len(text)), Content: text, Tokens: count}, nil) {
				return
			}
			n++
		}
	}
}
