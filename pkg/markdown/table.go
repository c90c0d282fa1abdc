package markdown

import "bytes"

// rowCounter counts the cells of a table row that is fed in parts. Pipes separate cells, except a
// pipe at the beginning or the end of the row, or after a backslash
// (https://github.github.com/gfm/#tables-extension-).
type rowCounter struct {
	pipes int  // that may separate cells
	begun bool // a part has been fed
	last  byte // last byte of that part
	ended bool // the last pipe ends the row, if no more text follows
}

func (r *rowCounter) feed(s []byte) {
	if len(s) == 0 {
		return
	}
	i := bytes.IndexByte(s, '|')
	if i < 0 && !r.ended {
		r.begun, r.last = true, s[len(s)-1]
		return // the usual case
	}
	text := len(bytes.TrimRight(s, " \t\r\n"))
	r.ended = r.ended && text == 0
	for i >= 0 {
		before := r.last
		if i > 0 {
			before = s[i-1]
		}
		if (i > 0 || r.begun) && before != '\\' {
			r.pipes++
			r.ended = i == text-1
		}
		next := bytes.IndexByte(s[i+1:], '|')
		if next < 0 {
			break
		}
		i += 1 + next
	}
	r.begun, r.last = true, s[len(s)-1]
}

// cells returns the number of cells if the row ends here.
func (r *rowCounter) cells() int {
	if r.ended {
		return r.pipes
	}
	return r.pipes + 1
}

// delimiterCells returns the number of cells of the delimiter row s, or -1 if s is not a delimiter
// row. Each cell is hyphens with an optional colon before and after them.
func delimiterCells(s []byte) int {
	if len(s) == 0 || s[0] != '|' && s[0] != '-' && s[0] != ':' {
		return -1
	}
	s = bytes.TrimPrefix(s, []byte("|"))
	s = bytes.TrimSuffix(s, []byte("|"))
	n := 0
	for cell := range bytes.SplitSeq(s, []byte("|")) {
		cell = bytes.Trim(cell, " \t")
		cell = bytes.TrimPrefix(cell, []byte(":"))
		cell = bytes.TrimSuffix(cell, []byte(":"))
		if len(cell) == 0 || countLeading(cell, '-') < len(cell) {
			return -1
		}
		n++
	}
	return n
}
