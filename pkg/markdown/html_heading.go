package markdown

import (
	"bytes"
	"html"
	"regexp"
	"strings"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// htmlHeading is the open heading in an HTML block. Its lines are held until its text is known.
type htmlHeading struct {
	level   int   // 0 for no open heading
	start   int64 // offset of its tag in the source
	comment bool  // a comment is open
}

// scanHTMLLine takes a line of an HTML block of tags, or a part of a line that was cut. If a
// heading begins after other text, the line is divided there.
func (s *scanner) scanHTMLLine(p Piece, end int64) {
	if p.Boundary == BoundaryBlock {
		s.endParagraph()
		s.html.comment = false
	}
	line := s.win.bytes(p.Start, end)
	part := heldLine{start: p.Start, boundary: p.Boundary}
	var closed *Heading // is in part, or in the held lines before it
	hold := func(end int64) {
		if part.start < end {
			part.end = end
			s.held = append(s.held, part)
			part = heldLine{start: end, boundary: BoundaryNone}
		}
	}
	for at, level := range s.html.headingTags(line) {
		offset := p.Start + int64(at)
		if s.html.level > 0 {
			closed = s.closeHTMLHeading(offset)
		}
		if level == 0 {
			continue
		}
		if closed != nil || len(s.held) > 0 || htmlText(line[part.start-p.Start:at]) != "" {
			hold(offset)
			s.yieldHeldHTML(closed)
			closed = nil
		}
		s.html.level, s.html.start = level, offset
	}
	hold(end)
	if s.html.level > 0 {
		if !s.cut && !s.exceedsHoldLimit() {
			return
		}
		closed = s.closeHTMLHeading(end)
	}
	s.yieldHeldHTML(closed)
}

// closeHTMLHeading closes the open heading at offset end and returns it, or nil if it has no text.
func (s *scanner) closeHTMLHeading(end int64) *Heading {
	h := &Heading{Level: s.html.level, Text: htmlText(s.win.bytes(s.html.start, end)), Start: s.html.start}
	s.html.level = 0
	if h.Text == "" {
		return nil
	}
	return h
}

// yieldHeldHTML yields the held lines of an HTML block. They begin with heading h, unless it is
// nil.
func (s *scanner) yieldHeldHTML(h *Heading) {
	for _, l := range s.held {
		if h != nil {
			l.boundary = max(l.boundary, BoundaryPart)
		}
		s.emit(Piece{Kind: KindHTML, Boundary: l.boundary, Heading: h, Start: l.start}, l.end)
		h = nil
	}
	s.held = s.held[:0]
}

// headingTags yields the indexes and levels of the heading tags in a line, outside comments. The
// level of an end tag is 0.
func (h *htmlHeading) headingTags(line []byte) func(yield func(at, level int) bool) {
	return func(yield func(at, level int) bool) {
		for i := 0; i < len(line); {
			if h.comment {
				n := bytes.Index(line[i:], []byte("-->"))
				if n < 0 {
					return
				}
				h.comment = false
				i += n
			}
			n := bytes.IndexByte(line[i:], '<')
			if n < 0 {
				return
			}
			i += n
			switch level, end := headingTag(line[i:]); {
			case bytes.HasPrefix(line[i:], []byte("<!--")):
				h.comment = true
				i += len("<!") // <!--> is a complete comment
				continue
			case end && !yield(i, 0), level > 0 && !yield(i, level):
				return
			}
			i++
		}
	}
}

// headingTag returns the level of the heading start tag at the beginning of s, or 0. end says that
// s begins with a heading end tag.
func headingTag(s []byte) (level int, end bool) {
	name := s[1:]
	if len(name) > 0 && name[0] == '/' {
		name, end = name[1:], true
	}
	if len(name) < 2 || name[0]|0x20 != 'h' || name[1] < '1' || name[1] > '6' {
		return 0, false
	}
	if len(name) > 2 && bytes.IndexByte([]byte(" \t\r\n/>"), name[2]) < 0 {
		return 0, false
	}
	if end {
		return 0, true
	}
	return int(name[1] - '0'), false
}

var (
	htmlTag      = regexp.MustCompile(`(?s)<!--.*?(?:-->|$)|<[/!?]?[A-Za-z](?:[^<>"']|"[^"]*"|'[^']*')*(?:>|$)`)
	imageTag     = regexp.MustCompile(`(?i)^<img[\s/]`)
	altAttribute = regexp.MustCompile(`(?i)[\s"']alt\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))`)
)

// htmlText returns the text of HTML on one line, without markup. The text of an image is its
// description.
func htmlText(src []byte) string {
	if len(src) > 2*maxInline {
		src = []byte(document.CutMiddle(string(src), 2*maxInline))
	}
	src = htmlTag.ReplaceAllFunc(src, func(tag []byte) []byte {
		switch {
		case imageTag.Match(tag):
			m := altAttribute.FindSubmatch(tag)
			return bytes.Join(m[min(1, len(m)):], nil)
		case lineBreakTag.Match(tag):
			return []byte(" ")
		}
		return nil
	})
	return document.CutMiddle(strings.Join(strings.Fields(html.UnescapeString(string(src))), " "), maxTitle)
}
