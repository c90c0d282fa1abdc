package markdown

import "bytes"

// atxLevel returns the level of the ATX heading in line s, or 0
// (https://spec.commonmark.org/0.31.2/#atx-headings).
func atxLevel(s []byte) int {
	n := countLeading(s, '#')
	if n > 6 || n < len(s) && s[n] != ' ' && s[n] != '\t' {
		return 0
	}
	return n
}

// setextLevel returns the level of the setext heading if s is its underline, or 0.
func setextLevel(s []byte) int {
	if countLeading(s, s[0]) < len(s) {
		return 0
	}
	switch s[0] {
	case '=':
		return 1
	case '-':
		return 2
	}
	return 0
}

// isThematicBreak reports whether s is three or more of the same character, *, - or _, with any
// white space between them.
func isThematicBreak(s []byte) bool {
	mark := s[0]
	// Nested lists call this once for each level. The last byte decides most calls.
	if mark == '=' || s[len(s)-1] != mark {
		return false
	}
	n := 0
	for _, c := range s {
		switch c {
		case mark:
			n++
		case ' ', '\t':
		default:
			return false
		}
	}
	return n >= 3
}

// fence is the opening fence of a code block.
type fence struct {
	char   byte // ` or ~
	length int
}

// openingFence returns the fence at the beginning of s. It reports whether the fence can open a
// code block (https://spec.commonmark.org/0.31.2/#fenced-code-blocks).
func openingFence(s []byte) (fence, bool) {
	f := fence{s[0], countLeading(s, s[0])}
	return f, f.length >= 3 && (f.char == '~' || bytes.IndexByte(s[f.length:], '`') < 0)
}

// isClosedBy reports whether the line s closes the code block.
func (f fence) isClosedBy(s []byte) bool {
	n := countLeading(s, f.char)
	return n >= f.length && n == len(s)
}

// itemMarker is the marker of a list item.
type itemMarker struct {
	kind byte // the bullet, or the delimiter after the number; the same for all items of a list
	len  int  // in bytes
}

// listMarker returns the list marker at the beginning of s. An item that interrupts a paragraph
// must not be empty, and must have the number 1 if it has a number
// (https://spec.commonmark.org/0.31.2/#list-items).
func listMarker(s []byte, interrupts bool) (itemMarker, bool) {
	n := 0
	for n < len(s) && '0' <= s[n] && s[n] <= '9' {
		n++
	}
	switch {
	case n == 0 && (s[0] == '-' || s[0] == '+' || s[0] == '*'):
	case 0 < n && n < 10 && n < len(s) && (s[n] == '.' || s[n] == ')'):
		if interrupts && !(n == 1 && s[0] == '1') {
			return itemMarker{}, false
		}
	default:
		return itemMarker{}, false
	}
	m := itemMarker{s[n], n + 1}
	if m.len == len(s) {
		return m, !interrupts
	}
	return m, s[m.len] == ' ' || s[m.len] == '\t'
}

// openItem moves c over the marker and returns the item that the marker opens.
func (m itemMarker) openItem(c *cursor) container {
	before, _ := c.indent()
	c.skipBytes(m.len)
	after, _ := c.indent()
	switch {
	case c.isBlank():
		return container{item: true, indent: before + m.len + 1, empty: true}
	case after > 4:
		after = 1 // the item begins with indented code
	}
	c.skipColumns(after)
	return container{item: true, indent: before + m.len + after}
}

// countLeading returns the number of bytes c at the beginning of s.
func countLeading(s []byte, c byte) int {
	n := 0
	for n < len(s) && s[n] == c {
		n++
	}
	return n
}
