package markdown

import (
	"bytes"
	"regexp"
)

// beginsStatement reports whether the line begins an import or export statement. It looks at more
// than the first word, because prose begins with these words too.
func beginsStatement(line []byte) bool {
	return (bytes.HasPrefix(line, []byte("import")) || bytes.HasPrefix(line, []byte("export"))) && statementStart.Match(line)
}

var statementStart = regexp.MustCompile(`^(?:import(?:\s*["'{*]|\s+(?:type\s+)?[\w$]+\s*(?:,|$|\s+from\b)|\s+type\s*\{)` +
	`|export(?:\s*[{*]|\s+(?:default|const|let|var|function|async|class|type|interface|enum)\b))`)

// statement follows import and export statements line by line
// (https://mdxjs.com/docs/what-is-mdx/#esm). It counts brackets and recognises template literals
// and comments, and does not parse JavaScript. A line that is not indented ends the statement if it
// follows a blank line, or if no bracket is open.
type statement struct {
	depth int  // of open brackets
	quote byte // ` in a template literal, * in a comment, 0 elsewhere
	begun bool
	blank bool // the line before is blank
}

// accepts reports whether the line belongs to the statement.
func (st *statement) accepts(line []byte, cut bool) bool {
	if len(line) == 0 {
		st.blank = true
		return st.isOpen()
	}
	if st.begun && !st.continuesWith(line) {
		return false
	}
	st.begun, st.blank = true, false
	if !cut {
		st.countBrackets(line)
	}
	return true
}

func (st *statement) isOpen() bool { return st.depth > 0 || st.quote != 0 }

func (st *statement) continuesWith(line []byte) bool {
	switch c := line[0]; {
	case c == ' ' || c == '\t' || bytes.IndexByte([]byte("})]"), c) >= 0:
		return st.isOpen() || !st.blank
	case st.blank:
		return false
	default:
		return st.isOpen() || beginsStatement(line) || bytes.HasPrefix(line, []byte("//")) || bytes.HasPrefix(line, []byte("/*"))
	}
}

// countBrackets updates depth and quote for a line.
func (st *statement) countBrackets(line []byte) {
	var literal byte // the quote of the open string; strings end with their line
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case c == '\\' && st.quote != '*':
			i++
		case literal != 0:
			if c == literal {
				literal = 0
			}
		case st.quote == '`':
			if c == '`' {
				st.quote = 0
			}
		case st.quote == '*':
			if c == '*' && i+1 < len(line) && line[i+1] == '/' {
				st.quote = 0
				i++
			}
		case c == '/' && i+1 < len(line) && line[i+1] == '/':
			return
		case c == '/' && i+1 < len(line) && line[i+1] == '*':
			st.quote = '*'
			i++
		case c == '"' || c == '\'':
			literal = c
		case c == '`':
			st.quote = c
		case c == '(' || c == '[' || c == '{':
			st.depth++
		case (c == ')' || c == ']' || c == '}') && st.depth > 0:
			st.depth--
		}
	}
}
