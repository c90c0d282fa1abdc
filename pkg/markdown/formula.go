package markdown

import "bytes"

// A display formula is enclosed in marks. The first mark begins a line of a paragraph. CommonMark
// has no formulas: a line of = in a formula would be the underline of a heading. A blank line ends
// a formula too, as in TeX, so a mark that does not begin a formula affects one paragraph at most.

// formulaEnd returns the mark that ends the formula that is open after line s, or "" for none. open
// is the mark before the line.
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

// maxFormulaEndBytes is the maximum length of a mark that ends a formula, in bytes.
const maxFormulaEndBytes = len(`\end{}`) + maxEnvironment

// maxEnvironment is the maximum length of the name of an environment, in bytes.
const maxEnvironment = 32

// formulaEndInRest is formulaEnd for the next part s of a line that was cut. before is the end of
// the part before it, so that a mark is found that the cut has divided.
func formulaEndInRest(open string, before, s []byte) string {
	if open == "" {
		return ""
	}
	before = before[max(0, len(before)-len(open)+1):]
	return formulaEnd(open, append(before[:len(before):len(before)], s...))
}

// endsFormula reports whether a line is a heading or a fence. Formulas do not contain such lines,
// so the open mark did not begin a formula.
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
