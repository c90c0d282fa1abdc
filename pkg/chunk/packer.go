package chunk

import (
	"bytes"
	"unicode"

	"github.com/seed-7a112592/gristmill/pkg/markdown"
)

// packer takes pieces and yields passages. It decides on a passage once it has
// text for two: enough to see whether what begins in the first one would fit
// into one of its own.
type packer struct {
	buffer
	opt     Options
	limit   int                // tokens of the passage being packed
	ended   bool               // the buffer holds all that is left
	table   *table             // that the latest piece stands in
	path    []markdown.Heading // that the first line stands under
	floor   int64              // offset from which the next passage may overlap
	ordinal int
	stopped bool // nobody wants more passages
	yield   func(Passage, error) bool
}

// add takes the next piece. It returns false when nobody wants more passages.
func (p *packer) add(piece markdown.Piece) bool {
	p.table = p.table.next(piece)
	if !isSpace(piece.Text) {
		p.countLast()
		for p.full() && !p.stopped {
			p.pass()
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
	p.ended = true
	for len(p.lines) > 0 && !p.stopped {
		p.pass()
	}
	p.ended = false
}

// full reports whether there is text for two passages.
func (p *packer) full() bool {
	n := len(p.lines)
	return n > 0 && (p.tokens(0, n) > 2*p.opt.Tokens || p.lines[n-1].text-p.lines[0].start > 2*p.maxBytes)
}

// pass packs a passage and yields it.
func (p *packer) pass() {
	p.limit = p.opt.Tokens
	end := p.choose()
	start := p.lines[0].start
	if floor := max(p.floor, p.base); p.opt.Overlap > 0 && floor < start {
		start, end = p.overlap(floor, end)
	}
	p.emit(start, end)
}

// fits reports whether the lines i to j may be a passage.
func (p *packer) fits(i, j int) bool { return p.buffer.fits(i, j, p.limit) }

// emit yields the source from start to end as a passage and forgets it.
func (p *packer) emit(start, end int64) {
	first := p.lines[0]
	text := bytes.TrimRightFunc(p.bytes[start-p.base:end-p.base], unicode.IsSpace)
	passage := Passage{Ordinal: p.ordinal, Start: start, Content: string(text), Context: first.table.context(start)}
	passage.Tokens = p.tokensOf(passage)
	if passage.Tokens > p.opt.Tokens {
		// Byte pairs that reach into the white space can make a text longer
		// without it. What was measured is the text with it.
		if whole := p.source(start, end); p.count(whole) <= p.opt.Tokens {
			passage.Content, passage.Tokens = whole, p.count(whole)
		}
	}
	passage.End = start + int64(len(passage.Content))
	passage.Headings, p.floor = p.enter(end)
	p.ordinal++
	p.stopped = !p.yield(passage, nil)

	if p.opt.Overlap == 0 {
		p.floor = end
	}
	p.cut(end, p.floor)
	if len(p.lines) > 0 && p.lines[0].heading != nil {
		p.floor = p.lines[0].start
	}
}

// tokensOf counts the tokens of a passage, again only where the counts of its
// lines do not add up to them.
func (p *packer) tokensOf(passage Passage) int {
	end := passage.Start + int64(len(passage.Content))
	last := 0
	for last+1 < len(p.lines) && p.lines[last+1].start < end {
		last++
	}
	first := p.lines[0]
	if last == 0 || passage.Start < first.start || p.estimated || p.lines[last].pieces > first.pieces {
		return p.count(passage.Content)
	}
	return p.tokens(0, last) + p.count(p.source(p.lines[last].start, end))
}

// enter follows the headings from the first line up to the offset end. It
// returns those that enclose all of that, and where the text under the last
// of them begins.
func (p *packer) enter(end int64) (enclosing []markdown.Heading, body int64) {
	body = p.lines[0].start
	enclosing = p.path
	for i, l := range p.lines {
		if l.start >= end {
			break
		}
		if l.kind == markdown.KindHeading {
			body = min(l.end, end)
		}
		if l.heading == nil {
			continue
		}
		n := len(p.path)
		for n > 0 && p.path[n-1].Level >= l.heading.Level {
			n--
		}
		p.path = append(p.path[:n:n], *l.heading) // a copy: passages share the old one
		if i == 0 {
			enclosing = p.path
		} else {
			enclosing = enclosing[:min(n, len(enclosing))]
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
