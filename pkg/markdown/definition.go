package markdown

import (
	"bytes"
	"unicode/utf8"
)

// definitionParser recognises link reference definitions at the beginning of a paragraph, line by
// line (https://spec.commonmark.org/0.31.2/#link-reference-definitions).
//
// Its state has a fixed size, however long the paragraph is. That is enough because every
// definition begins at the start and ends at the end of a line. Only a title on lines of its own is
// undecided for some lines: it may belong to the definition before it, or be text.
type definitionParser struct {
	state           definitionState
	lines           int  // fed so far
	definitionLines int  // lines that are definitions if the paragraph ends here
	length          int  // of the label so far, in characters
	named           bool // the label has more than white space
	closer          byte // closes the title
}

type definitionState uint8

const (
	definitionBefore            definitionState = iota
	definitionInLabel                           // after [
	definitionBeforeDestination                 // after :
	definitionAfterDestination                  // at the start of a line; the definition may have ended before it
	definitionInTitle
	definitionsEnded // the rest of the paragraph is text
)

// maxLabel is the maximum length of a link label, in characters.
const maxLabel = 999

// onlyDefinitions reports whether the paragraph has only definitions if it ends here.
func (d *definitionParser) onlyDefinitions() bool { return d.definitionLines == d.lines }

// feed takes the next line of the paragraph, without leading white space and line ending. It
// reports whether the line may begin a definition.
func (d *definitionParser) feed(s []byte) (begins bool) {
	if d.state == definitionsEnded {
		d.addText()
		return false
	}
	if (d.state == definitionBefore || d.state == definitionAfterDestination) && s[0] == '[' {
		d.state, d.length, d.named = definitionInLabel, 0, false
		begins = true
		s = s[1:]
	}
	if !d.scan(s) {
		d.state = definitionsEnded
	}
	d.lines++
	return begins
}

// addText takes a line that is not part of a definition.
func (d *definitionParser) addText() {
	d.state = definitionsEnded
	d.lines++
}

// scan parses a line, or the rest of a line after its opening bracket. It returns false if the line
// does not continue a definition.
func (d *definitionParser) scan(s []byte) bool {
	switch d.state {
	case definitionInLabel:
		n, ok := d.label(s)
		if !ok || d.state == definitionInLabel {
			return ok
		}
		return d.destination(s[n:])
	case definitionBeforeDestination:
		return d.destination(s)
	case definitionAfterDestination:
		return d.openTitle(s) && d.title(s[1:])
	case definitionInTitle:
		return d.title(s)
	default:
		return false
	}
}

// label parses up to the colon after the label, or to the end of the line. n is the index after the
// colon.
func (d *definitionParser) label(s []byte) (n int, ok bool) {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
			d.named = true
		case '[':
			return 0, false
		case ']':
			d.state = definitionBeforeDestination
			d.length += utf8.RuneCount(s[:i])
			colon := i+1 < len(s) && s[i+1] == ':'
			return i + 2, colon && d.named && d.length <= maxLabel
		case ' ', '\t':
		default:
			d.named = true
		}
	}
	d.length += utf8.RuneCount(s) + 1 // the line ending
	return 0, d.length <= maxLabel
}

// destination parses the destination and the title, or its beginning, after it.
func (d *definitionParser) destination(s []byte) bool {
	s = bytes.TrimLeft(s, " \t")
	if len(s) == 0 {
		return true
	}
	n := destinationLength(s)
	if n == 0 {
		return false
	}
	rest := bytes.TrimLeft(s[n:], " \t")
	if len(rest) == 0 {
		d.state, d.definitionLines = definitionAfterDestination, d.lines+1
		return true
	}
	return len(rest) < len(s)-n && d.openTitle(rest) && d.title(rest[1:])
}

// openTitle sets the character that closes the title at the beginning of s. It returns false if s
// does not begin with a title.
func (d *definitionParser) openTitle(s []byte) bool {
	d.state = definitionInTitle
	switch d.closer = s[0]; d.closer {
	case '"', '\'':
		return true
	case '(':
		d.closer = ')'
		return true
	}
	return false
}

// title parses up to the end of the title or of the line.
func (d *definitionParser) title(s []byte) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			i++
		case c == d.closer:
			// It is not a title if text follows. If it began on a line of its own, the definition
			// ended before that line.
			if len(bytes.TrimLeft(s[i+1:], " \t")) > 0 {
				return false
			}
			d.state, d.definitionLines = definitionBefore, d.lines+1
			return true
		case c == '(' && d.closer == ')':
			return false
		}
	}
	return true
}

// destinationLength returns the length of the link destination at the beginning of s, or 0
// (https://spec.commonmark.org/0.31.2/#link-destination).
func destinationLength(s []byte) int {
	if s[0] == '<' {
		for i := 1; i < len(s); i++ {
			switch s[i] {
			case '\\':
				i++
			case '<':
				return 0
			case '>':
				return i + 1
			}
		}
		return 0
	}
	depth := 0
	i := 0
	for ; i < len(s) && s[i] > ' ' && s[i] != 0x7f; i++ {
		switch s[i] {
		case '\\':
			if i+1 < len(s) && isPunct(s[i+1]) {
				i++
			}
		case '(':
			depth++
		case ')':
			depth--
			if depth < 0 {
				return 0
			}
		}
	}
	if depth != 0 {
		return 0
	}
	return i
}

// isPunct reports whether c is ASCII punctuation. A backslash can escape it.
func isPunct(c byte) bool {
	return '!' <= c && c <= '/' || ':' <= c && c <= '@' || '[' <= c && c <= '`' || '{' <= c && c <= '~'
}
