package markdown

import (
	"bytes"
	"unicode/utf8"
)

// definitionParser recognises link reference definitions at the beginning of a
// paragraph, fed line by line
// (https://spec.commonmark.org/0.31.2/#link-reference-definitions).
//
// It keeps a few words however long the paragraph is. That is enough because
// every definition begins and ends with a line; only a title on lines of its
// own leaves open for a while whether it belongs to the definition before it.
type definitionParser struct {
	state           definitionState
	lines           int  // fed so far
	definitionLines int  // lines that are definitions if the paragraph ends here
	length          int  // of the label so far, in characters
	named           bool // the label holds more than white space
	closer          byte // of the title
}

type definitionState uint8

const (
	definitionBefore            definitionState = iota
	definitionInLabel                           // behind [
	definitionBeforeDestination                 // behind :
	definitionAfterDestination                  // at the start of the line behind one that may be the last
	definitionInTitle
	definitionsEnded // the rest of the paragraph is text
)

// maxLabel is how long a link label may be, in characters.
const maxLabel = 999

// onlyDefinitions reports whether a paragraph that ends here leaves no text.
func (d *definitionParser) onlyDefinitions() bool { return d.definitionLines == d.lines }

// feed takes the next line of the paragraph, without leading white space and
// line ending. It reports whether a definition begins with it.
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

// addText takes a line that no definition goes on with.
func (d *definitionParser) addText() {
	d.state = definitionsEnded
	d.lines++
}

// scan runs over a line, or what follows the opening bracket in it. It
// returns false when no definition goes on from here.
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

// label runs to the colon behind the label, or to the end of the line.
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

// destination runs over the destination and the beginning of the title.
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

// openTitle notes which character will close the title that s begins with.
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

// title runs to the end of the title, or of the line.
func (d *definitionParser) title(s []byte) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			i++
		case c == d.closer:
			// With text behind it, it is no title. When it began on a line of
			// its own, the definition has ended before that line.
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

// destinationLength returns the length of the link destination that s begins
// with, or 0 (https://spec.commonmark.org/0.31.2/#link-destination).
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

// isPunct reports whether c is ASCII punctuation, which a backslash escapes.
func isPunct(c byte) bool {
	return '!' <= c && c <= '/' || ':' <= c && c <= '@' || '[' <= c && c <= '`' || '{' <= c && c <= '~'
}
