package markdown

import "bytes"

// A formula is displayed between marks of which the first begins a line of a
// paragraph. CommonMark knows none: a line of = in one would underline a
// heading. A blank line ends it too, as in TeX, so that a mark that is none
// costs a paragraph at the most.

// formulaEnd returns the mark that ends the formula which is open behind the
// line s, or an empty string, given what it was before the line.
func formulaEnd(open string, s []byte) string {
	if open == "" {
		switch {
		case bytes.HasPrefix(s, []byte("$$")):
			open, s = "$$", s[2:]
		case bytes.HasPrefix(s, []byte(`\[`)):
			open = `\]`
		case bytes.HasPrefix(s, []byte(`\begin{`)):
			name, _, ok := bytes.Cut(s[len(`\begin`):], []byte("}"))
			if !ok || len(name) > len(`{`)+maxEnvironment {
				return ""
			}
			open = `\end` + string(name) + "}"
		default:
			return ""
		}
	}
	if bytes.Contains(s, []byte(open)) {
		return ""
	}
	return open
}

// maxFormulaEndBytes is the length of the longest mark that ends a formula.
const maxFormulaEndBytes = len(`\end{}`) + maxEnvironment

// maxEnvironment is how long the name of an environment may be.
const maxEnvironment = 32

// formulaEndInRest is formulaEnd for a further part of a line, with enough of
// what stands before it in the line.
func formulaEndInRest(open string, before, s []byte) string {
	if open == "" {
		return ""
	}
	before = before[max(0, len(before)-len(open)+1):]
	return formulaEnd(open, append(before[:len(before):len(before)], s...))
}

// endsFormula reports whether a line cannot stand in a formula: it is a
// heading or a fence, so that what is open is none.
func endsFormula(c *cursor) bool {
	width, next := c.indent()
	if width >= 4 || next == len(c.s) {
		return false
	}
	switch s := c.s[next:]; s[0] {
	case '#':
		return atxLevel(s) > 0
	case '`', '~':
		_, ok := openingFence(s)
		return ok
	}
	return false
}
