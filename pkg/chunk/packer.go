package chunk

import (
	"bytes"
	"io"
	"unicode"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/markdown"
)

// packer takes pieces and yields passages. It decides on a passage once it has
// text for two: enough to see whether what begins in the first one would fit
// into one of its own.
type packer struct {
	buffer
	opt              Options
	title            string               // of the document, as it is embedded
	prefix           document.PassageText // what stands above the passage being packed, if all of it is under the same headings
	maxContentTokens int                  // tokens of content that the passage being packed may have
	overlapReserve   int                  // of these, tokens that are kept for overlap
	atEnd            bool                 // the buffer holds all that is left
	table            *tableHead           // that the latest piece stands in
	path             []markdown.Heading   // that the first line stands under
	overlapFloor     int64                // offset from which the next passage may overlap
	ordinal          int
	stopped          bool // nobody wants more passages
	yield            func(Passage, error) bool
}

func newPacker(opt Options, yield func(Passage, error) bool) *packer {
	return &packer{
		buffer: buffer{count: opt.Count, maxBytes: int64(maxTokenBytes * opt.Tokens)},
		opt:    opt, title: markdown.PlainText(opt.Title), yield: yield,
	}
}

// scan yields the passages of what r reads, and a read error.
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

// add takes the next piece. It returns false when nobody wants more passages.
func (p *packer) add(piece markdown.Piece) bool {
	p.table = p.table.next(piece)
	if !isSpace(piece.Text) {
		p.countLast()
		for p.hasTwoPassages() && !p.stopped {
			p.packPassage()
		}
		p.push(piece, p.table)
	} else if !p.pushBlank(piece) {
		p.drain() // no passage reaches over so much white space
		p.pushBlank(piece)
	}
	return !p.stopped
}

// drain yields all that is left, as if the document ended here.
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
	var above int
	p.prefix, above = p.embeddingPrefix(p.headingsAt(0), p.lines[0])
	p.maxContentTokens = p.opt.Tokens - above
	end := p.passageEnd()
	start := p.lines[0].start
	if floor := max(p.overlapFloor, p.base); p.opt.Overlap > 0 && floor < start {
		start, end = p.overlap(floor, end)
	}
	p.emit(start, end)
}

// contentLimit returns how many tokens the lines of a passage may have that begins
// with line i.
func (p *packer) contentLimit(i int) int {
	if i == 0 {
		return p.maxContentTokens - p.overlapReserve
	}
	return p.contentTokensFrom(i) - p.overlapReserve
}

// fits reports whether the lines i to j may be a passage.
func (p *packer) fits(i, j int) bool { return p.buffer.fits(i, j, p.contentLimit(i)) }

// emit yields the source from start to end as a passage and forgets it.
func (p *packer) emit(start, end int64) {
	first := p.lines[0]
	textEnd := start + int64(len(bytes.TrimRightFunc(p.bytes[start-p.base:end-p.base], unicode.IsSpace)))
	tokens := p.countPassage(start, textEnd)
	if tokens > p.maxContentTokens {
		// Byte pairs that reach into the white space can make a text longer
		// without it. What was measured is the text with it.
		if n := p.countVisible(start, end); n <= p.maxContentTokens {
			textEnd, tokens = end, n
		}
	}
	passage := Passage{Ordinal: p.ordinal, Start: start, End: textEnd}
	text, under := p.prefix, p.headingsAt(0)
	if passage.Headings, p.overlapFloor = p.followHeadings(end); len(passage.Headings) < len(under) {
		text, _ = p.embeddingPrefix(passage.Headings, first)
	}
	if start < first.start && first.table.context(start) == "" {
		text.Context = "" // the overlap has the head of the table
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

// countPassage counts the tokens of a passage from start to end, again only where
// the counts of its lines do not add up to them.
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

// followHeadings follows the headings from the first line up to the offset end. It
// returns those that enclose all of that, and where the text under the last
// of them begins.
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
		return false // as nearly always
	}
	return len(bytes.TrimSpace(s)) == 0
}
