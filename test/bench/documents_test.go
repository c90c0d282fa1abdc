package main

import (
	"bytes"
	"io"
	"testing"
	"unicode/utf8"

	"github.com/seed-7a112592/gristmill/pkg/chunk"
)

// texts returns the number of occurrences of each text to embed.
func texts(t *testing.T, r io.Reader) map[string]int {
	t.Helper()
	count := map[string]int{}
	for passage, err := range chunk.Split(r, chunk.Options{}) {
		if err != nil {
			t.Fatal(err)
		}
		count[passage.EmbeddingInput()]++
	}
	return count
}

func TestCopiesShareNoPassage(t *testing.T) {
	t.Parallel()
	documents := readCorpus(newBench(t.Context(), 1, ""))
	made, err := copyDocuments(documents, 2)
	if err != nil {
		t.Fatal(err)
	}
	if len(made) != 2*len(documents) {
		t.Fatalf("%d copies of %d documents", len(made), len(documents))
	}
	from := map[string]string{}
	for _, d := range made {
		for text := range texts(t, d.reader()) {
			if other, ok := from[text]; ok {
				t.Errorf("%s and %s share the passage %.60q", other, d.key, text)
			}
			from[text] = d.key
		}
	}
}

func TestSyntheticDocumentsShareNoPassage(t *testing.T) {
	t.Parallel()
	m := newSyntheticCorpus(readCorpus(newBench(t.Context(), 1, "")))
	if len(m.questions) == 0 {
		t.Fatal("there are no questions")
	}
	from := map[string]string{}
	for _, d := range m.documents()[:syntheticDocuments/20] {
		for _, question := range m.questions {
			if bytes.Contains(d.text, []byte(question)) {
				t.Errorf("%s contains the question %q", d.key, question)
			}
		}
		for text := range texts(t, d.reader()) {
			if other, ok := from[text]; ok {
				t.Errorf("%s and %s share the passage %.60q", other, d.key, text)
			}
			from[text] = d.key
		}
	}
}

func TestGeneratedDocument(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{0, 1, 1000, 1 << 20} {
		text, err := io.ReadAll(newGeneratedDocument(size))
		if err != nil || int64(len(text)) != size {
			t.Errorf("%d bytes, %v; want %d", len(text), err, size)
		}
		if !utf8.Valid(text) {
			t.Errorf("the document of %d bytes is not UTF-8", size)
		}
		if again, _ := io.ReadAll(newGeneratedDocument(size)); !bytes.Equal(again, text) {
			t.Errorf("the document of %d bytes differs when it is generated again", size)
		}
		for passage, n := range texts(t, bytes.NewReader(text)) {
			if n > 1 {
				t.Errorf("the document of %d bytes has the passage %.60[3]q %[2]d times", size, n, passage)
			}
		}
	}
}
