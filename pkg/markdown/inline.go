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
	// maxTitle is the length of the text of a heading, in bytes.
	maxTitle = 256

	// maxInline is how much inline markup is parsed, in bytes; more is cut in
	// the middle first.
	maxInline = 4 << 10
)

// PlainText returns the text of inline markdown, without markup, on one line:
// of a link its text, of an image its description, entities and escapes as
// what they stand for. An identifier at the end, as in `{#install}`, and
// references to footnotes are markup too. `[text]` alone stays as it is: it is
// a link if the document has a definition of it, which nearly always stands
// behind, where a scan has not come to yet.
//
// Of a longer text than 256 bytes the middle is left out.
func PlainText(s string) string {
	s = trimAttributeList(strings.TrimSpace(s))
	if len(s) > maxInline {
		s = base64Payload.ReplaceAllString(s, "$1") // what is cut then is more likely text
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

// base64Payload is the base64 of a data: URI, as of a picture, behind its header.
var base64Payload = regexp.MustCompile(`(?i)(data:[^\s,()<>]{0,100};base64,)[a-z0-9+/=_%-]+`)

// trimAttributeList returns s without an attribute list or an MDX comment at
// its end, as Pandoc, kramdown, Hugo and Docusaurus write them.
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

// inlineParser knows no block but the paragraph.
var inlineParser = parser.NewParser(
	parser.WithBlockParsers(util.Prioritized(parser.NewParagraphParser(), 1)),
	parser.WithInlineParsers(append(parser.DefaultInlineParsers(), util.Prioritized(extension.NewStrikethroughParser(), 500))...),
)

// referenceLinkPattern are the labels of links whose form tells that they are links:
// [text][label] and [label][].
var referenceLinkPattern = regexp.MustCompile(`\]\[([^\[\]]+)\]|\[([^\[\]]+)\]\[\]`)

// indexPattern have the form of such links, as in a[i][j], and are none.
var indexPattern = regexp.MustCompile(`\w\[[^\[\]]*\]\[([^\[\]]*)\]`)

var footnotePattern = regexp.MustCompile(`\[\^[^\[\]\s]+\]`)

// onlyCodeSpans reports whether all backticks of s, which has no other markup,
// are those of code spans: nearly all headings with markup are of this kind,
// and need no parser.
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

// unescape resolves backslash escapes and entities. An escaped & begins none.
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
