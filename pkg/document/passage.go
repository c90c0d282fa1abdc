package document

import (
	"crypto/sha256"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ContentHash identifies the text of a passage; see [PassageText.ContentHash].
type ContentHash [sha256.Size]byte

// HashText returns the SHA-256 of a text that is embedded.
func HashText(text string) ContentHash { return sha256.Sum256([]byte(text)) }

// Passage is a byte range of a document as the API returns it: Content is original[Start:End].
type Passage struct {
	Ordinal     int      `json:"ordinal"` // position among the passages of the version, from 0
	Start       int64    `json:"start"`
	End         int64    `json:"end"`
	HeadingPath []string `json:"heading_path"`      // enclosing headings, outermost first
	Context     string   `json:"context,omitempty"` // header of the table that the passage continues
	Content     string   `json:"content"`
	Tokens      int      `json:"tokens"` // of Content without omitted ranges, cl100k_base

	// EmbeddedBytes is the number of bytes of [PassageText.EmbeddingInput] that the model accepted,
	// 0 for all.
	EmbeddedBytes int `json:"embedded_bytes,omitempty" doc:"Number of bytes of the embedded text that the model accepted; missing if it accepted all of it."`
}

// Range is a byte range of a text.
type Range struct {
	Start int `json:"start"`
	End   int `json:"end"`
}

// PassageText is the text of a passage and of its surroundings, independent of its position.
type PassageText struct {
	// Title is the document's title if it is embedded with the passage. It is empty if the heading
	// path begins with the title, and if the document has no title of its own; see [OwnTitle].
	Title       string
	HeadingPath []string // enclosing headings, outermost first
	Context     string   // header of the table that the passage continues
	Content     string   // verbatim text of the document

	// Omitted lists ranges of Content, in order, that are not embedded, counted or summarised:
	// payloads of data: URIs, import and export statements of MDX.
	Omitted []Range
	Tokens  int // of VisibleContent, cl100k_base
}

// EmbeddingInput returns the text that is embedded: the title and the heading path on a line of
// their own, the context, and the visible content.
func (t PassageText) EmbeddingInput() string { return t.EmbeddingPrefix() + t.VisibleContent() }

// EmbeddingPrefix returns the part of [PassageText.EmbeddingInput] before the content.
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

// pathSeparator separates the headings of a path.
const pathSeparator = " > "

// Ellipsis marks a place where text was removed.
const Ellipsis = "…"

// VisibleContent returns the content without its omitted ranges. If it has any, leading blank lines
// are removed too, and the result is [Ellipsis] if nothing is left, because models refuse an empty
// text.
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

// CutMiddle returns s if it has at most n bytes. Otherwise it returns the beginning and the end of
// s with [Ellipsis] between them, in at most n bytes. It cuts between words, or between runes where
// words are long. The result is empty if n is too small for the ellipsis.
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

// ContentHash returns the hash that identifies the passage: the SHA-256 of EmbeddingInput. If there
// is a title or an omitted range, the hash also covers the title and the complete content, because
// different passages can then have the same EmbeddingInput.
func (t PassageText) ContentHash() ContentHash {
	text := t.EmbeddingInput()
	if t.Title != "" || len(t.Omitted) > 0 {
		text += "\x00" + t.Title + "\x00" + t.Content // no document contains NUL
	}
	return HashText(text)
}
