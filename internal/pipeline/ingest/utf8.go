package ingest

import (
	"fmt"
	"unicode"
	"unicode/utf8"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// utf8Checker checks that a stream is UTF-8, and whether it has visible characters.
type utf8Checker struct {
	partial []byte // incomplete rune at the end of the previous part
	hasText bool
}

// check checks that p continues the stream as UTF-8. offset is the position of p in the stream. It
// returns the offset of the first wrong byte, and what is wrong there, or "".
func (c *utf8Checker) check(p []byte, offset int64) (at int64, wrong string) {
	at = offset
	for len(c.partial) > 0 && len(p) > 0 {
		c.partial = append(c.partial, p[0])
		p, at = p[1:], at+1
		if !utf8.FullRune(c.partial) {
			continue
		}
		r, width := utf8.DecodeRune(c.partial)
		if r == utf8.RuneError && width == 1 {
			return at - int64(len(c.partial)), fmt.Sprintf("byte 0x%02x", c.partial[0])
		}
		c.hasText = c.hasText || isVisibleRune(r)
		c.partial = c.partial[:0]
	}
	for i := 0; i < len(p); {
		if p[i] < utf8.RuneSelf {
			if p[i] == 0 {
				return at + int64(i), "a NUL byte"
			}
			c.hasText = c.hasText || isVisibleRune(rune(p[i]))
			i++
			continue
		}
		r, width := utf8.DecodeRune(p[i:])
		if r == utf8.RuneError && width == 1 {
			if !utf8.FullRune(p[i:]) {
				c.partial = append(c.partial, p[i:]...)
				return 0, ""
			}
			return at + int64(i), fmt.Sprintf("byte 0x%02x", p[i])
		}
		c.hasText = c.hasText || isVisibleRune(r)
		i += width
	}
	return 0, ""
}

// isVisibleRune reports whether a document with r is not empty.
func isVisibleRune(r rune) bool { return !unicode.IsSpace(r) && !document.IsInvisible(r) }
