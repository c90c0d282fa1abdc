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
	SyntaxCommonMark Syntax = iota
	SyntaxMDX
	SyntaxPlain
)

// SyntaxOf returns the syntax of a document with this media type, with or
// without parameters, and key.
func SyntaxOf(mediaType, key string) Syntax {
	mediaType, _, _ = strings.Cut(mediaType, ";")
	switch {
	case strings.EqualFold(strings.TrimSpace(mediaType), "text/plain"):
		return SyntaxPlain
	case strings.EqualFold(path.Ext(key), ".mdx"):
		return SyntaxMDX
	default:
		return SyntaxCommonMark
	}
}
