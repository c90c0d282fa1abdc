package chunk

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// classTable has the class of each character up to U+FFFF. The others are rare.
type classTable [1 << 16]class

func newClassTable() *classTable {
	var c classTable
	for r := range c {
		c[r] = classOf(rune(r))
	}
	return &c
}

// pretokenSize returns the length in bytes of the first pretoken of a UTF-8 text, as the pattern of
// cl100k_base splits it. The first alternative that matches decides:
//
//	(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
//
// The tokenizer differs from the pattern in two ways, and so does this function: \s* stops before a
// line ending, and nothing matches the character U+007F.
func (c *classTable) pretokenSize(s string) int {
	first, size := c.classAt(s)
	switch first {
	case classUnmatched:
		return size
	case classLetter:
		return size + c.runSize(s[size:], classLetter)
	case classDigit:
		return size + c.digitSize(s[size:], 2)
	}
	if s[0] == '\'' {
		if n := contractionSize(s[1:]); n > 0 {
			return 1 + n
		}
	}
	next, nextSize := c.classAt(s[size:])
	switch {
	case next == classLetter && first != classNewline:
		return size + nextSize + c.runSize(s[size+nextSize:], classLetter)
	case first == classOther, s[0] == ' ' && next == classOther:
		n := size + c.runSize(s[size:], classOther)
		return n + c.runSize(s[n:], classNewline)
	default:
		return c.spaceSize(s)
	}
}

// spaceSize returns the length of the first pretoken of a text that begins with white space. It
// ends after the line endings that follow the white space. If there are none, it ends before the
// last of several characters, which belongs to the next pretoken.
func (c *classTable) spaceSize(s string) int {
	n := c.runSize(s, classSpace)
	if line := c.runSize(s[n:], classNewline); line > 0 || n == len(s) {
		return n + line
	}
	if _, last := utf8.DecodeLastRuneInString(s[:n]); last < n {
		return n - last
	}
	return n
}

// contractionSize returns the length of the contraction at the beginning of s, which follows an
// apostrophe, or 0.
func contractionSize(s string) int {
	if s == "" {
		return 0
	}
	switch s[0] | 0x20 {
	case 's', 't', 'm', 'd':
		return 1
	case 'r', 'v':
		if len(s) > 1 && s[1]|0x20 == 'e' {
			return 2
		}
	case 'l':
		if len(s) > 1 && s[1]|0x20 == 'l' {
			return 2
		}
	}
	if strings.HasPrefix(s, "ſ") { // equals s if case is ignored
		return len("ſ")
	}
	return 0
}

// digitSize returns the length of the digits at the beginning of s, n digits at most.
func (c *classTable) digitSize(s string, n int) int {
	at := 0
	for range n {
		class, size := c.classAt(s[at:])
		if class != classDigit {
			break
		}
		at += size
	}
	return at
}

// runSize returns the length of the characters of a class at the beginning of s.
func (c *classTable) runSize(s string, of class) int {
	at := 0
	for at < len(s) {
		if s[at] < utf8.RuneSelf {
			if c[s[at]] != of {
				break
			}
			at++
			continue
		}
		class, size := c.classAt(s[at:])
		if class != of {
			break
		}
		at += size
	}
	return at
}

// class is a class of characters that the pattern distinguishes.
type class uint8

const (
	classOther     class = iota // all characters without another class
	classLetter                 // \p{L}
	classDigit                  // \p{N}
	classSpace                  // \s without line endings
	classNewline                // [\r\n]
	classUnmatched              // U+007F
	classEnd                    // the end of the text
)

// classAt returns the class of the first character of s, and its length.
func (c *classTable) classAt(s string) (class, int) {
	if s == "" {
		return classEnd, 0
	}
	if s[0] < utf8.RuneSelf {
		return c[s[0]], 1
	}
	r, size := utf8.DecodeRuneInString(s)
	if int(r) < len(c) {
		return c[r], size
	}
	return classOf(r), size
}

func classOf(r rune) class {
	switch {
	case r == '\r' || r == '\n':
		return classNewline
	case r == '\u007f':
		return classUnmatched
	case unicode.IsLetter(r):
		return classLetter
	case unicode.IsNumber(r):
		return classDigit
	case unicode.IsSpace(r):
		return classSpace
	default:
		return classOther
	}
}
