package markdown

import "bytes"

// HeadSize is how much of a document [FrontMatter] needs to see, in bytes.
// Front matter that does not end within it is text.
const HeadSize = 64 << 10

const byteOrderMark = "\uFEFF"

func withoutByteOrderMark(s []byte) []byte { return bytes.TrimPrefix(s, []byte(byteOrderMark)) }

// FrontMatter tells whether a document begins with YAML front matter: a line
// `---` at its first byte, or behind a byte order mark, up to a line `---` or
// `...`. It returns the bytes between those lines and the offset at which the
// body begins. Without front matter yaml is nil and body is the length of the
// byte order mark, if any. The head is the first HeadSize bytes of the
// document, or all of a shorter one.
//
// A thematic break begins a document in the same way. So that no text is taken
// for metadata, every line that is not indented must look like YAML, and the
// first like the key of a mapping; whether it is well-formed is not checked.
func FrontMatter(head []byte) (yaml []byte, body int) {
	head = head[:min(len(head), HeadSize)]
	text := withoutByteOrderMark(head)
	mark := len(head) - len(text)
	line, rest := cutLine(text)
	if !isFence(line, "---") {
		return nil, mark
	}
	mapping := false
	for at := rest; len(at) > 0; {
		line, next := cutLine(at)
		switch {
		case mapping && (isFence(line, "---") || isFence(line, "...")):
			return rest[:len(rest)-len(at)], len(head) - len(next)
		case isMappingKey(line):
			mapping = true
		case len(bytes.TrimSpace(line)) == 0 || line[0] == '#':
		case !mapping || !continuesMapping(line[0]):
			return nil, mark
		}
		at = next
	}
	return nil, mark
}

// cutLine returns the first line of s, its ending included, and what follows.
func cutLine(s []byte) (line, rest []byte) {
	i := bytes.IndexAny(s, "\r\n")
	if i < 0 {
		return s, nil
	}
	if bytes.HasPrefix(s[i:], []byte("\r\n")) {
		i++
	}
	return s[:i+1], s[i+1:]
}

func isFence(line []byte, fence string) bool {
	return string(bytes.TrimRight(line, " \t\r\n")) == fence
}

// isMappingKey reports whether the line begins an entry of a block mapping.
func isMappingKey(line []byte) bool {
	i := bytes.IndexByte(line, ':')
	return i > 0 && isWordByte(line[0]) && (i+1 == len(line) || bytes.IndexByte([]byte(" \t\r\n"), line[i+1]) >= 0)
}

func isWordByte(c byte) bool {
	return isLetter(c) || '0' <= c && c <= '9' || c == '_' || c == '"' || c == '\'' || c >= 0x80
}

// continuesMapping reports whether c may begin a line that goes on with the
// value before it: one that is indented, an item of a list, a closing bracket.
func continuesMapping(c byte) bool {
	return bytes.IndexByte([]byte(" \t-]}"), c) >= 0
}

// FirstHeading returns the text of the first heading at the top level of a
// document whose beginning is head, or an empty string.
func FirstHeading(head []byte, syntax Syntax) string {
	for piece, err := range Scan(bytes.NewReader(head), Options{Syntax: syntax}) {
		if err == nil && piece.Heading != nil && piece.Heading.Text != "" {
			return piece.Heading.Text
		}
	}
	return ""
}
