package markdown

import (
	"bytes"
	"html"
	"regexp"
	"strings"

	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

const (
	// maxTitle is the maximum length of the text of a heading, in bytes.
	maxTitle = 256

	// maxInline is the maximum length of inline markup that is parsed, in bytes. The middle of
	// longer markup is removed first.
	maxInline = 4 << 10
)

// PlainText returns the text of inline markdown on one line, without markup. The text of a link is
// its label, and the text of an image is its description. Entities and escapes are replaced by
// their characters. An identifier at the end, as in `{#install}`, and references to footnotes are
// removed. `[text]` alone does not change. It is a link only if the document defines it, nearly
// always in a part that a scan has not reached.
//
// If the text has more than 256 bytes, the middle is replaced by an ellipsis.
func PlainText(s string) string {
	s = trimAttributeList(strings.TrimSpace(s))
	if len(s) > maxInline {
		s = base64Payload.ReplaceAllString(s, "$1") // so that more text remains when the middle is removed
	}
	if strings.ContainsAny(s, "\\*_[<&~") || !onlyCodeSpans(s) {
		s = inlineText([]byte(document.CutMiddle(s, maxInline)))
	} else {
		s = strings.ReplaceAll(s, "`", "")
	}
	if s = strings.TrimSpace(s); strings.ContainsAny(s, "\t\r\n\v\f") || strings.Contains(s, "  ") || strings.Contains(s, "\u00a0") {
		s = strings.Join(strings.Fields(s), " ")
	}
	return document.CutMiddle(s, maxTitle)
}

// base64Payload matches a data: URI with a base64 payload, for example a picture. Group 1 is the
// header.
var base64Payload = regexp.MustCompile(`(?i)(data:[^\s,()<>]{0,100};base64,)[a-z0-9+/=_%-]+`)

// trimAttributeList returns s without the attribute list or the MDX comment at its end. Pandoc,
// kramdown, Hugo and Docusaurus use these for identifiers.
func trimAttributeList(s string) string {
	if !strings.HasSuffix(s, "}") {
		return s
	}
	if i := strings.LastIndex(s, "{/*"); i >= 0 && strings.HasSuffix(s, "*/}") {
		return s[:i]
	}
	i := strings.LastIndexByte(s, '{')
	if i < 0 || i > 0 && s[i-1] != ' ' && s[i-1] != '\t' || !attributeList.MatchString(s[i:]) {
		return s
	}
	return s[:i]
}

var (
	attributeItem = `(?:[#.][^\s{}]+|-|[\w:-]+=(?:"[^"{}]*"|'[^'{}]*'|[^\s"'{}]+))`
	attributeList = regexp.MustCompile(`^\{:?\s*` + attributeItem + `(?:\s+` + attributeItem + `)*\s*\}$`)
)

// inlineParser parses paragraphs and no other blocks.
var inlineParser = parser.NewParser(
	parser.WithBlockParsers(util.Prioritized(parser.NewParagraphParser(), 1)),
	parser.WithInlineParsers(append(parser.DefaultInlineParsers(), util.Prioritized(extension.NewStrikethroughParser(), 500))...),
)

// referenceLinkPattern matches links that can be recognised without their definition: [text][label]
// and [label][].
var referenceLinkPattern = regexp.MustCompile(`\]\[([^\[\]]+)\]|\[([^\[\]]+)\]\[\]`)

// indexPattern matches text that looks like such links but is not, as in a[i][j].
var indexPattern = regexp.MustCompile(`\w\[[^\[\]]*\]\[([^\[\]]*)\]`)

var footnotePattern = regexp.MustCompile(`\[\^[^\[\]\s]+\]`)

// onlyCodeSpans reports whether all backticks of s, which has no other markup, belong to simple
// code spans. Nearly all headings with markup are of this kind. They do not need the parser.
func onlyCodeSpans(s string) bool {
	return !strings.Contains(s, "``") && strings.Count(s, "`")%2 == 0
}

func inlineText(src []byte) string {
	context := parser.NewContext()
	if bytes.IndexByte(src, '[') >= 0 {
		src = footnotePattern.ReplaceAllLiteral(src, nil)
		for _, m := range referenceLinkPattern.FindAllSubmatch(indexPattern.ReplaceAllLiteral(src, nil), -1) {
			context.AddReference(parser.NewReference(bytes.Join(m[1:], nil), []byte("#"), nil))
		}
	}
	var b strings.Builder
	writeText(&b, inlineParser.Parse(text.NewReader(src), parser.WithContext(context)), src)
	return b.String()
}

// writeText writes the text of the nodes in n.
func writeText(b *strings.Builder, n ast.Node, src []byte) {
	for child := n.FirstChild(); child != nil; child = child.NextSibling() {
		switch child := child.(type) {
		case *ast.Text:
			value := child.Segment.Value(src)
			if _, code := n.(*ast.CodeSpan); !code && !child.IsRaw() {
				value = unescape(value)
			}
			b.Write(value)
			if child.SoftLineBreak() || child.HardLineBreak() {
				b.WriteByte(' ')
			}
		case *ast.AutoLink:
			b.Write(child.Label(src))
		case *ast.RawHTML:
			if lineBreakTag.Match(child.Segments.Value(src)) {
				b.WriteByte(' ')
			}
		default:
			writeText(b, child, src)
		}
	}
}

var lineBreakTag = regexp.MustCompile(`(?i)^<(?:br|/?p|/?div)\b`)

// unescape replaces backslash escapes and entities by their characters. An escaped & does not begin
// an entity.
func unescape(s []byte) []byte {
	var out []byte
	for len(s) > 0 {
		n := 0
		for n < len(s) && !(s[n] == '\\' && n+1 < len(s) && isPunct(s[n+1])) {
			n++
		}
		out = append(out, html.UnescapeString(string(s[:n]))...)
		if n == len(s) {
			break
		}
		out = append(out, s[n+1])
		s = s[n+2:]
	}
	return out
}
