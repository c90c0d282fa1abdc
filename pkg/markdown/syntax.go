package markdown

import (
	"path"
	"strings"
)

// Syntax is the language that a document is written in.
type Syntax uint8

// The syntaxes. In MDX, import and export statements are blocks of their own.
// Plain text has paragraphs, which end at blank lines, and no other blocks.
const (
	CommonMark Syntax = iota
	MDX
	Plain
)

// SyntaxOf returns the syntax of a document with this media type, with or
// without parameters, and key.
func SyntaxOf(mediaType, key string) Syntax {
	mediaType, _, _ = strings.Cut(mediaType, ";")
	switch {
	case strings.EqualFold(strings.TrimSpace(mediaType), "text/plain"):
		return Plain
	case strings.EqualFold(path.Ext(key), ".mdx"):
		return MDX
	default:
		return CommonMark
	}
}
