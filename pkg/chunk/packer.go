package chunk

import (
	"bytes"
	"io"
	"unicode"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/markdown"
)

// packer takes pieces and yields passages. It ends a passage only when it has text for two
// passages: enough to see whether a section that begins in the first one would fit into a passage
// of its own.
type packer struct {
	buffer
	opt              Options
	title            string               // of the document, without markup
	prefix           document.PassageText // embedded before the passage being packed, if all of it is under the same headings
	maxContentTokens int                  // maximum number of tokens of the content of the passage being packed
	overlapReserve   int                  // part of maxContentTokens that is reserved for overlap
	atEnd            bool                 // the buffer holds the rest of the document
	table            *tableHead           // contains the latest piece; nil for none
	path             []markdown.Heading   // headings that enclose the first line
	overlapFloor     int64                // offset from which the next passage may overlap
	ordinal          int
	stopped          bool // the caller wants no more passages
	yield            func(Passage, error) bool
}

func newPacker(opt Options, yield func(Passage, error) bool) *packer {
	return &packer{
		buffer: buffer{count: opt.Count, maxBytes: int64(maxTokenBytes * opt.Tokens)},
		opt:    opt, title: markdown.PlainText(opt.Title), yield: yield,
	}
}

// scan yields the passages of the document that r reads, and a read error last.
func (p *packer) scan(r io.Reader) {
	for piece, err := range markdown.Scan(r, markdown.Options{Syntax: p.opt.Syntax, Window: p.opt.Window}) {
		if err != nil {
			p.stopped = true
			p.yield(Passage{}, err)
			return
		}
		if !p.add(piece) {
			return
		}
	}
	p.drain()
}

// add takes the next piece. It returns false if the caller wants no more passages.
func (p *packer) add(piece markdown.Piece) bool {
	p.table = p.table.next(piece)
	if !isSpace(piece.Text) {
		p.countLast()
		for p.hasTwoPassages() && !p.stopped {
			p.packPassage()
		}
		p.push(piece, p.table)
	} else if !p.pushBlank(piece) {
		p.drain() // no passage can contain this much white space
		p.pushBlank(piece)
	}
	return !p.stopped
}

// drain yields all buffered lines as passages, as if the document ended here.
func (p *packer) drain() {
	p.countLast()
	p.atEnd = true
	for len(p.lines) > 0 && !p.stopped {
		p.packPassage()
	}
	p.atEnd = false
}

// hasTwoPassages reports whether there is text for two passages.
func (p *packer) hasTwoPassages() bool {
	n := len(p.lines)
	return n > 0 && (p.tokens(0, n) > 2*p.opt.Tokens || p.tooLarge(p.lines[0].start, p.lines[n-1].textEnd, 2))
}

// packPassage packs a passage and yields it.
func (p *packer) packPassage() {
	var prefixTokens int
	p.prefix, prefixTokens = p.embeddingPrefix(p.headingsAt(0), p.lines[0])
	p.maxContentTokens = p.opt.Tokens - prefixTokens
	end := p.passageEnd()
	start := p.lines[0].start
	if floor := max(p.overlapFloor, p.base); p.opt.Overlap > 0 && floor < start {
		start, end = p.overlap(floor, end)
	}
	p.emit(start, end)
}

// contentLimit returns the maximum number of tokens of the lines of a passage that begins with line
// i.
func (p *packer) contentLimit(i int) int {
	if i == 0 {
		return p.maxContentTokens - p.overlapReserve
	}
	return p.contentTokensFrom(i) - p.overlapReserve
}

// fits reports whether lines i to j fit into a passage.
func (p *packer) fits(i, j int) bool { return p.buffer.fits(i, j, p.contentLimit(i)) }

// emit yields the source from start to end as a passage and removes it from the buffer.
func (p *packer) emit(start, end int64) {
	first := p.lines[0]
	textEnd := start + int64(len(bytes.TrimRightFunc(p.bytes[start-p.base:end-p.base], unicode.IsSpace)))
	tokens := p.countPassage(start, textEnd)
	if tokens > p.maxContentTokens {
		// A token can reach into the white space, so the text without it can have more tokens. The
		// text was measured with it, and keeps it.
		if n := p.countVisible(start, end); n <= p.maxContentTokens {
			textEnd, tokens = end, n
		}
	}
	passage := Passage{Ordinal: p.ordinal, Start: start, End: textEnd}
	text, headings := p.prefix, p.headingsAt(0)
	if passage.Headings, p.overlapFloor = p.followHeadings(end); len(passage.Headings) < len(headings) {
		text, _ = p.embeddingPrefix(passage.Headings, first)
	}
	if start < first.start && first.table.context(start) == "" {
		text.Context = "" // the overlap contains the head of the table
	}
	content := p.passageText(start, textEnd)
	text.Content, text.Omitted, text.Tokens = content.Content, content.Omitted, tokens
	passage.PassageText = text
	p.ordinal++
	p.stopped = !p.yield(passage, nil)

	if p.opt.Overlap == 0 {
		p.overlapFloor = end
	}
	p.discardBefore(end, p.overlapFloor)
	if len(p.lines) > 0 && p.lines[0].heading != nil {
		p.overlapFloor = p.lines[0].start
	}
}

// countPassage returns the number of tokens of a passage from start to end. It counts the complete
// text only if the counts of its lines cannot be added.
func (p *packer) countPassage(start, end int64) int {
	last := 0
	for last+1 < len(p.lines) && p.lines[last+1].start < end {
		last++
	}
	first := p.lines[0]
	if last == 0 || start < first.start || !p.isExact(0, last+1) {
		return p.countVisible(start, end)
	}
	return p.tokens(0, last) + p.count(p.source(p.lines[last].start, end))
}

// followHeadings moves p.path over the headings between the first line and offset end. It returns
// the headings that enclose that whole range, and the offset at which the text after the last
// heading begins.
func (p *packer) followHeadings(end int64) (enclosing []markdown.Heading, body int64) {
	body = p.lines[0].start
	enclosing = p.path
	first := p.skipModules(0)
	for i, l := range p.lines {
		if l.start >= end {
			break
		}
		if l.kind == markdown.KindHeading || l.heading != nil {
			body = min(l.end, end)
		}
		if l.heading == nil {
			continue
		}
		p.path = pathUnder(p.path, *l.heading)
		if i <= first {
			enclosing = p.path
		} else {
			enclosing = enclosing[:min(len(p.path)-1, len(enclosing))]
		}
	}
	return enclosing, body
}

func isSpace(s []byte) bool {
	if ' ' < s[0] && s[0] < 0x80 {
		return false // the usual case, without a scan
	}
	return len(bytes.TrimSpace(s)) == 0
}
