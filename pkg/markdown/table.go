package markdown

import "bytes"

// rowCells returns the number of cells of s as a row of a table: pipes
// separate them, but neither one at the beginning or the end of the row nor
// one behind a backslash (https://github.github.com/gfm/#tables-extension-).
func rowCells(s []byte) int {
	n := 1
	for i := bytes.IndexByte(s, '|'); i >= 0; {
		if (i == 0 || s[i-1] != '\\') && i > 0 && i < len(s)-1 {
			n++
		}
		next := bytes.IndexByte(s[i+1:], '|')
		if next < 0 {
			break
		}
		i += 1 + next
	}
	return n
}

// delimiterCells returns the number of cells of s as the delimiter row of a
// table, or -1 when it is none. Each cell is hyphens with a colon before them,
// behind them, both or neither.
func delimiterCells(s []byte) int {
	if s[0] != '|' && s[0] != '-' && s[0] != ':' {
		return -1
	}
	s = bytes.TrimPrefix(s, []byte("|"))
	s = bytes.TrimSuffix(s, []byte("|"))
	n := 0
	for cell := range bytes.SplitSeq(s, []byte("|")) {
		cell = bytes.Trim(cell, " \t")
		cell = bytes.TrimPrefix(cell, []byte(":"))
		cell = bytes.TrimSuffix(cell, []byte(":"))
		if len(cell) == 0 || run(cell, '-') < len(cell) {
			return -1
		}
		n++
	}
	return n
}
