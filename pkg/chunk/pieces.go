package chunk

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// classes has the class of every character but for the rare ones behind U+FFFF.
type classes [1 << 16]class

func newClasses() *classes {
	var c classes
	for r := range c {
		c[r] = classOf(rune(r))
	}
	return &c
}

// pieceSize returns the length of the first piece of a text in UTF-8. The
// pattern of cl100k_base, of which the first alternative that matches counts, is
//
//	(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
//
// The tokenizer differs from it in two ways, and so does this: \s* stops before
// a line ending, and nothing matches the character U+007F.
func (c *classes) pieceSize(s string) int {
	first, size := c.classAt(s)
	switch first {
	case unmatched:
		return size
	case letter:
		return size + c.runOf(s[size:], letter)
	case digit:
		return size + c.digits(s[size:], 2)
	}
	if s[0] == '\'' {
		if n := contraction(s[1:]); n > 0 {
			return 1 + n
		}
	}
	next, nextSize := c.classAt(s[size:])
	switch {
	case next == letter && first != newline:
		return size + nextSize + c.runOf(s[size+nextSize:], letter)
	case first == mark, s[0] == ' ' && next == mark:
		n := size + c.runOf(s[size:], mark)
		return n + c.runOf(s[n:], newline)
	default:
		return c.spaces(s)
	}
}

// spaces returns the length of the first piece of a text that begins with white
// space: up to the end of its line and of empty ones behind it, or else without
// the last of several characters, which goes with what follows.
func (c *classes) spaces(s string) int {
	n := c.runOf(s, space)
	if line := c.runOf(s[n:], newline); line > 0 || n == len(s) {
		return n + line
	}
	if _, last := utf8.DecodeLastRuneInString(s[:n]); last < n {
		return n - last
	}
	return n
}

// contraction returns the length of the ending that stands behind an
// apostrophe, or 0.
func contraction(s string) int {
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
	if strings.HasPrefix(s, "ſ") { // an s in lower case
		return len("ſ")
	}
	return 0
}

// digits returns the length of the digits that s begins with, at most n of them.
func (c *classes) digits(s string, n int) int {
	at := 0
	for range n {
		class, size := c.classAt(s[at:])
		if class != digit {
			break
		}
		at += size
	}
	return at
}

// runOf returns the length of the characters of a class that s begins with.
func (c *classes) runOf(s string, of class) int {
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

// class is what the pattern tells characters apart by.
type class uint8

const (
	mark      class = iota // none of the others
	letter                 // \p{L}
	digit                  // \p{N}
	space                  // \s but for line endings
	newline                // [\r\n]
	unmatched              // U+007F
	end                    // of the text
)

// classAt returns the class of the first character of s, and its length.
func (c *classes) classAt(s string) (class, int) {
	if s == "" {
		return end, 0
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
		return newline
	case r == '\u007f':
		return unmatched
	case unicode.IsLetter(r):
		return letter
	case unicode.IsNumber(r):
		return digit
	case unicode.IsSpace(r):
		return space
	default:
		return mark
	}
}
