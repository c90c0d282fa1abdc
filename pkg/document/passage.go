package document

import (
	"crypto/sha256"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
)

// ContentHash names a passage by what was embedded; see [Text.Name].
type ContentHash [sha256.Size]byte

// HashText returns the hash of a text to be embedded.
func HashText(text string) ContentHash { return sha256.Sum256([]byte(text)) }

// Passage is a verbatim byte range of its source: Content is
// source[Start:End]. HeadingPath lists the headings that enclose it, outermost
// first; Context is the header of the table that it continues, if it does.
type Passage struct {
	Ordinal     int      `json:"ordinal"`
	Start       int64    `json:"start"`
	End         int64    `json:"end"`
	HeadingPath []string `json:"heading_path"`
	Context     string   `json:"context,omitempty"`
	Content     string   `json:"content"`
	Tokens      int      `json:"tokens"` // of Content, cl100k_base

	// EmbeddedBytes is as in Embedded.
	EmbeddedBytes int `json:"embedded_bytes,omitempty" doc:"Bytes of what is embedded that the model takes; missing where it takes all."`
}

// Range is a range of bytes of a text.
type Range struct {
	Start int `json:"start"`
	End   int `json:"end"`
}

// PassageText is what a passage says, wherever it stands.
type PassageText struct {
	// Title is the document's title where it is embedded with the passage. It
	// is empty where the heading path begins with the title, and for documents
	// that have none of their own.
	Title       string
	HeadingPath []string
	Context     string
	Content     string

	// Omitted lists the ranges of Content, in order, that are neither embedded
	// nor counted nor summarised: payloads of data: URIs, import and export
	// statements of MDX.
	Omitted []Range
	Tokens  int // of Visible(), cl100k_base
}

// EmbeddingInput returns what is embedded: the title and the heading path on a line
// of their own, the context, and what is visible of the content.
func (t PassageText) EmbeddingInput() string { return t.EmbeddingPrefix() + t.VisibleContent() }

// EmbeddingPrefix returns the part of what is embedded that stands before the content.
func (t PassageText) EmbeddingPrefix() string {
	var b strings.Builder
	if t.Title != "" {
		b.WriteString(t.Title)
		if len(t.HeadingPath) > 0 {
			b.WriteString(pathSeparator)
		}
	}
	b.WriteString(strings.Join(t.HeadingPath, pathSeparator))
	if b.Len() > 0 {
		b.WriteString("\n\n")
	}
	if t.Context != "" {
		b.WriteString(t.Context)
		b.WriteString("\n")
	}
	return b.String()
}

// pathSeparator stands between the headings of a path.
const pathSeparator = " > "

// Ellipsis stands for what is left out of a text.
const Ellipsis = "…"

// VisibleContent returns the content without what is omitted and blank lines before
// the rest, or an ellipsis if nothing is left, since a model takes no empty text.
func (t PassageText) VisibleContent() string {
	if len(t.Omitted) == 0 {
		return t.Content
	}
	var b strings.Builder
	at := 0
	for _, r := range t.Omitted {
		b.WriteString(t.Content[at:r.Start])
		at = r.End
	}
	b.WriteString(t.Content[at:])
	text := b.String()
	if strings.TrimSpace(text) == "" {
		return Ellipsis
	}
	indent := len(text) - len(strings.TrimLeftFunc(text, unicode.IsSpace))
	return text[strings.LastIndexAny(text[:indent], "\r\n")+1:]
}

// CutMiddle returns s with at most n bytes, and an ellipsis in its middle for
// what is left out. It is cut between words, or runes where words are long.
func CutMiddle(s string, n int) string {
	const mark = " " + Ellipsis + " "
	switch {
	case len(s) <= n:
		return s
	case n < len(mark):
		return ""
	}
	head := (n - len(mark)) * 2 / 3
	tail := len(s) - (n - len(mark) - head)
	for head > 0 && !utf8.RuneStart(s[head]) {
		head--
	}
	for tail < len(s) && !utf8.RuneStart(s[tail]) {
		tail++
	}
	if i := strings.LastIndexByte(s[:head+1], ' '); i > head/2 {
		head = i
	}
	if i := strings.IndexByte(s[tail-1:], ' '); i >= 0 && i < (len(s)-tail)/2 {
		tail += i
	}
	return strings.TrimSpace(s[:head]) + mark + strings.TrimSpace(s[tail:])
}

// ContentHash returns the name of the passage: the hash of what is embedded. With a
// title or an omission it covers the whole content too, because two passages
// may then be embedded alike and still differ.
func (t PassageText) ContentHash() ContentHash {
	text := t.EmbeddingInput()
	if t.Title != "" || len(t.Omitted) > 0 {
		text += "\x00" + t.Title + "\x00" + t.Content // NUL stands in no document
	}
	return HashText(text)
}

// Hit is a passage that answers a search, with the document it stands in.
type Hit struct {
	Passage
	DocumentID uuid.UUID  `json:"document_id"`
	Key        string     `json:"key"`
	Title      string     `json:"title"`
	Score      float64    `json:"score"`
	Scores     Scores     `json:"scores"`
	AlsoIn     []Citation `json:"also_in"`
}

// Scores are the parts of a hit's score. Vector is the cosine similarity of
// question and passage, -1 to 1.
type Scores struct {
	Vector *float64 `json:"vector,omitempty"`
}

// Citation is a further place of the same passage.
type Citation struct {
	DocumentID uuid.UUID `json:"document_id"`
	Key        string    `json:"key"`
	Start      int64     `json:"start"`
	End        int64     `json:"end"`
}

// Summary is the summary of one version of a document.
type Summary struct {
	DocumentID uuid.UUID `json:"document_id"`
	Version    int       `json:"version"`
	Model      string    `json:"model"`
	Summary    string    `json:"summary"`
}
