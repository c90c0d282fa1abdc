package markdown

import "bytes"

// maxTitle is the length of the text of a heading, in bytes.
const maxTitle = 256

// atxTitle returns the text of the ATX heading that the line s is, without
// the opening and closing sequences of #.
func atxTitle(s []byte) string {
	s = bytes.Trim(s, " \t\r\n")
	s = bytes.TrimLeft(s, "#")
	if rest := bytes.TrimRight(s, "#"); len(rest) == 0 || rest[len(rest)-1] == ' ' || rest[len(rest)-1] == '\t' {
		s = rest
	}
	return title(s)
}

// title returns the lines of s as one, cut on a rune border where it grows too long.
func title(s []byte) string {
	var text []byte
	for line := range bytes.FieldsFuncSeq(s, func(r rune) bool { return r == '\n' || r == '\r' }) {
		if len(text) > 0 {
			text = append(text, ' ')
		}
		text = append(text, bytes.Trim(line, " \t")...)
		if len(text) > maxTitle {
			text = text[:runeCut(text, maxTitle)]
			break
		}
	}
	return string(bytes.TrimSpace(text))
}
