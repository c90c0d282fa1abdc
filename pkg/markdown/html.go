package markdown

import (
	"bytes"
	"regexp"
	"strings"
)

// openingHTML reports whether line s opens an HTML block, by the seven conditions of
// https://spec.commonmark.org/0.31.2/#html-blocks, and returns the test for the last line of the
// block. A nil test means that a blank line ends the block. interrupts says that the line would
// interrupt a paragraph, perhaps as a lazy continuation line; a lone tag (the seventh condition)
// cannot do that.
func openingHTML(s []byte, interrupts, cut bool) (end func([]byte) bool, ok bool) {
	name, rest := tagName(s)
	ends := len(rest) == 0 || rest[0] == ' ' || rest[0] == '\t' || rest[0] == '>'
	switch {
	case verbatimTags[name] && s[1] != '/' && ends:
		return endsVerbatim, true
	case bytes.HasPrefix(s, []byte("<!--")):
		return lineContains("-->"), true
	case bytes.HasPrefix(s, []byte("<?")):
		return lineContains("?>"), true
	case bytes.HasPrefix(s, []byte("<![CDATA[")):
		return lineContains("]]>"), true
	case len(s) > 2 && s[1] == '!' && isLetter(s[2]):
		return lineContains(">"), true
	case (ends || bytes.HasPrefix(rest, []byte("/>"))) && blockTags[name]:
		return nil, true
	}
	return nil, !interrupts && !cut && !verbatimTags[name] && s[len(s)-1] == '>' && isLoneTag(s, rest)
}

// isLoneTag reports whether line s is a tag and nothing else. rest is the text after the name of
// the tag at the beginning of s.
func isLoneTag(s, rest []byte) bool {
	if len(rest) == 1 { // the >, in the usual case
		return isLetter(bytes.TrimPrefix(s[1:], []byte("/"))[0])
	}
	return loneTag.Match(s)
}

// endsVerbatim reports whether the line contains the end tag of a verbatim block.
func endsVerbatim(line []byte) bool {
	return bytes.Contains(line, []byte("</")) && verbatimEnd.Match(line)
}

func lineContains(mark string) func([]byte) bool {
	return func(line []byte) bool { return bytes.Contains(line, []byte(mark)) }
}

// maxHTMLEndBytes is the length of the longest text that ends an HTML block, in bytes.
const maxHTMLEndBytes = len("</textarea>")

const attribute = `(?:[ \t]+[A-Za-z_:][A-Za-z0-9_.:-]*(?:[ \t]*=[ \t]*(?:[^ \t"'=<>` + "`" + `]+|'[^']*'|"[^"]*"))?)`

var (
	verbatimEnd = regexp.MustCompile(`(?i)</(?:pre|script|style|textarea)>`)
	loneTag     = regexp.MustCompile(`^<(?:[A-Za-z][A-Za-z0-9-]*` + attribute + `*[ \t]*/?|/[A-Za-z][A-Za-z0-9-]*[ \t]*)>$`)
)

// tagName returns the name of the tag at the beginning of line s, in lower case, and the text after
// the name. The name is "" if it is longer than all names that matter.
func tagName(s []byte) (name string, rest []byte) {
	rest = bytes.TrimPrefix(s[1:], []byte("/"))
	n := 0
	for n < len(rest) && (isLetter(rest[n]) || '0' <= rest[n] && rest[n] <= '9') {
		n++
	}
	if n > len("blockquote") { // the longest name that matters
		return "", rest[n:]
	}
	return strings.ToLower(string(rest[:n])), rest[n:]
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// verbatimTags are the tag names of the first condition.
var verbatimTags = map[string]bool{"pre": true, "script": true, "style": true, "textarea": true}

// blockTags are the tag names of the sixth condition.
var blockTags = func() map[string]bool {
	tags := make(map[string]bool)
	for tag := range strings.FieldsSeq(`address article aside base basefont blockquote body caption
		center col colgroup dd details dialog dir div dl dt fieldset figcaption figure footer form
		frame frameset h1 h2 h3 h4 h5 h6 head header hr html iframe legend li link main menu menuitem
		nav noframes ol optgroup option p param search section summary table tbody td tfoot th thead
		title tr track ul`) {
		tags[tag] = true
	}
	return tags
}()
