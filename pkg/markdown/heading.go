package markdown

import "bytes"

// atxTitle returns the text of the ATX heading in line s, without the opening and closing sequences
// of #.
func atxTitle(s []byte) string {
	s = bytes.Trim(s, " \t\r\n")
	s = bytes.TrimLeft(s, "#")
	if rest := bytes.TrimRight(s, "#"); len(rest) == 0 || rest[len(rest)-1] == ' ' || rest[len(rest)-1] == '\t' {
		s = rest
	}
	return PlainText(string(s))
}
