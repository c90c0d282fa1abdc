package markdown

// cursor is a position in a line. It counts columns, because a tab is equivalent to spaces up to
// the next multiple of four, and a container may take only some of them
// (https://spec.commonmark.org/0.31.2/#tabs).
type cursor struct {
	s   []byte // the line without its ending and trailing white space
	i   int    // index of the next byte
	col int    // column of the next byte, or of the rest of its tab
	tab int    // columns left of the tab at s[i], if some of them are taken
}

// trimSpaces returns s without spaces and tabs at its end.
func trimSpaces(s []byte) []byte {
	for len(s) > 0 && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// trimEnding returns s without line endings at its end.
func trimEnding(s []byte) []byte {
	for len(s) > 0 && (s[len(s)-1] == '\n' || s[len(s)-1] == '\r') {
		s = s[:len(s)-1]
	}
	return s
}

// isBlank reports whether only white space follows.
func (c *cursor) isBlank() bool {
	_, next := c.indent()
	return next >= len(c.s)
}

// indent returns the number of columns of white space that follow, and the index of the first byte
// after them.
func (c *cursor) indent() (width, next int) {
	i, col := c.i, c.col
	if c.tab > 0 {
		i, col = i+1, col+c.tab
	}
	for i < len(c.s) {
		switch c.s[i] {
		case ' ':
			col++
		case '\t':
			col += 4 - col%4
		default:
			return col - c.col, i
		}
		i++
	}
	return col - c.col, i
}

// skipColumns moves over up to n columns of white space.
func (c *cursor) skipColumns(n int) {
	for n > 0 && c.i < len(c.s) {
		if c.tab == 0 {
			switch c.s[c.i] {
			case ' ':
				c.tab = 1
			case '\t':
				c.tab = 4 - c.col%4
			default:
				return
			}
		}
		k := min(n, c.tab)
		n -= k
		c.col += k
		c.tab -= k
		if c.tab == 0 {
			c.i++
		}
	}
}

// skipBytes moves over the white space and n bytes after it.
func (c *cursor) skipBytes(n int) {
	width, next := c.indent()
	c.i, c.col, c.tab = next+n, c.col+width+n, 0
}
