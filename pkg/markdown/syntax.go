package markdown

import (
	"path"
	"strings"
)

// Syntax is the syntax of a document.
type Syntax uint8

// The syntaxes.
const (
	SyntaxCommonMark Syntax = iota // CommonMark with the GitHub extensions
	SyntaxMDX                      // the same, but import and export statements are blocks of their own
	SyntaxPlain                    // only paragraphs, which end at blank lines
)

// SyntaxOf returns the syntax of a document: SyntaxPlain for the media type text/plain, SyntaxMDX
// for a key or file name that ends in .mdx, else SyntaxCommonMark. The media type may have
// parameters.
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
