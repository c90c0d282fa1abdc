package main

import (
	"bytes"
	"fmt"
	"io"

	"github.com/seed-7a112592/gristmill/internal/test/corpus"
	"github.com/seed-7a112592/gristmill/pkg/markdown"
)

// corpusDocument is a file of the corpus, or a copy of one.
type corpusDocument struct {
	key        string
	text       []byte
	collection string // "" for the default one
}

func (d corpusDocument) reader() io.Reader { return bytes.NewReader(d.text) }

// readCorpus returns every file of the corpus.
func readCorpus(b *bench) []corpusDocument {
	dir, err := corpus.Find()
	if err != nil {
		b.Fatalf("find the corpus: %v", err)
	}
	files, err := corpus.Files(dir)
	if err != nil {
		b.Fatalf("read the corpus: %v", err)
	}
	documents := make([]corpusDocument, len(files))
	for i, f := range files {
		documents[i] = corpusDocument{key: f.Key, text: f.Text}
	}
	return documents
}

// copyDocuments returns n copies of each document. Two copies never have a heading in common: a
// passage is embedded with its headings, and the product does not embed equal passages again, which
// would falsify the measurement.
func copyDocuments(documents []corpusDocument, n int) ([]corpusDocument, error) {
	var copies []corpusDocument
	for number := range n {
		for i, d := range documents {
			text, err := withUniqueHeadings(d.text, fmt.Sprintf("%d-%d", number, i))
			if err != nil {
				return nil, fmt.Errorf("copy %s: %w", d.key, err)
			}
			copies = append(copies, corpusDocument{fmt.Sprintf("%d/%s", number, d.key), text, d.collection})
		}
	}
	return copies, nil
}

// withUniqueHeadings returns a copy of a document with name and a number inserted into every
// heading. Text before the first heading gets a heading.
func withUniqueHeadings(text []byte, name string) ([]byte, error) {
	var changed bytes.Buffer
	_, end := markdown.ParseFrontMatter(text)
	changed.Write(text[:end])
	fmt.Fprintf(&changed, "# %s\n\n", name)
	headings := 0
	for piece, err := range markdown.Scan(bytes.NewReader(text), markdown.Options{}) {
		if err != nil {
			return nil, err
		}
		at := 0
		if piece.Heading != nil {
			headings++
			at = len(piece.Text) - len(bytes.TrimLeft(piece.Text, " #"))
			// The text of a heading in HTML starts after its tag.
			if tag := bytes.Index(piece.Text, []byte("<h")); piece.Kind == markdown.KindHTML && tag >= 0 {
				at = tag + bytes.IndexByte(piece.Text[tag:], '>') + 1
			}
			changed.Write(piece.Text[:at])
			fmt.Fprintf(&changed, " %s-%d ", name, headings)
		}
		changed.Write(piece.Text[at:])
	}
	return changed.Bytes(), nil
}
