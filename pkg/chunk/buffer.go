package chunk

import (
	"bytes"
	"math"
	"unicode"

	"github.com/seed-7a112592/gristmill/pkg/markdown"
)

// line is a line with text, or a piece of one that is very long, together with
// the blank lines behind it.
type line struct {
	kind          markdown.Kind
	boundary      markdown.Boundary
	continuesLine bool // it begins within a line of the source
	cutRow        bool // it is of a line that may be a row of a table and is cut
	hasOmitted    bool // something of the line is omitted

	heading *markdown.Heading // that begins here
	table   *tableHead        // that the line stands in

	start, end       int64 // range in the source
	textEnd          int64 // end of the text: what follows is white space
	tokens           int   // from start to end
	totalTokens      int   // of this line and all before it
	totalContinuing  int   // how many of this line and all before it continue a line
	totalWithOmitted int   // of how many of this line and all before it something is omitted
	skippedCells     int   // in a row of a table: of how many cells the line leaves out the beginning
}

// buffer holds the lines that are not yet in a passage, with their bytes and
// those that the next passage may overlap.
type buffer struct {
	count    func(string) int
	maxBytes int64 // in a passage

	bytes []byte
	base  int64 // offset in the source of bytes[0]
	lines []line

	omission omissionFinder
	omitted  []span // in bytes, in order

	cutRow    bool // the last line is of one that may be a row of a table and is cut
	uncounted bool // the last line may get more blank lines
	estimated bool // the first line was cut, and its tokens are an estimate

	// What a line of white space leaves to the line behind it.
	nextBoundary markdown.Boundary
	nextHeading  *markdown.Heading
}

// source returns the source from start to end.
func (b *buffer) source(start, end int64) string {
	return string(b.bytes[start-b.base : end-b.base])
}

// push appends a piece with text.
func (b *buffer) push(p markdown.Piece, table *tableHead) {
	b.countLast()
	if len(b.lines) == 0 {
		b.bytes, b.base = b.bytes[:0], p.Start
		b.discardOmitted(p.Start)
	}
	within := len(b.bytes) > 0 && !endsLine(b.bytes)
	b.bytes = append(b.bytes, p.Text...)
	if p.Boundary != markdown.BoundaryNone {
		b.cutRow = p.Kind == markdown.KindParagraph && !endsLine(p.Text) && bytes.HasPrefix(bytes.TrimLeft(p.Text, " "), []byte("|"))
	}
	omitted := b.omission.find(p)
	b.addOmitted(omitted)
	l := line{
		kind: p.Kind, boundary: max(p.Boundary, b.nextBoundary), heading: p.Heading, table: table,
		start: p.Start, end: p.End(),
		textEnd:    p.Start + int64(len(bytes.TrimRightFunc(p.Text, unicode.IsSpace))),
		hasOmitted: len(omitted) > 0, continuesLine: within, cutRow: b.cutRow,
	}
	if l.heading != nil {
		l.boundary = markdown.BoundaryBlock // also within a block of HTML
	}
	if l.heading == nil {
		l.heading = b.nextHeading
	}
	b.nextBoundary, b.nextHeading = 0, nil
	b.lines = append(b.lines, l)
	b.uncounted = true
}

func endsLine(s []byte) bool { return s[len(s)-1] == '\n' || s[len(s)-1] == '\r' }

// pushBlank appends a piece of white space to the last line. It returns false,
// with nothing done, when there are so many that no passage can hold them.
func (b *buffer) pushBlank(p markdown.Piece) bool {
	b.omission.open = false
	if len(b.lines) > 0 {
		last := &b.lines[len(b.lines)-1]
		if p.End()-last.textEnd > b.maxBytes {
			return false
		}
		b.bytes = append(b.bytes, p.Text...)
		last.end = p.End()
	}
	b.nextBoundary = max(b.nextBoundary, p.Boundary)
	if p.Heading != nil {
		b.nextHeading = p.Heading
	}
	return true
}

// countLast counts the last line, once no more blank lines can follow.
func (b *buffer) countLast() {
	if !b.uncounted {
		return
	}
	b.uncounted = false
	n := len(b.lines) - 1
	last := &b.lines[n]
	if last.hasOmitted {
		last.tokens = b.count(b.view(last.start, last.end, math.MaxInt64).text)
	} else {
		last.tokens = b.count(b.source(last.start, last.end))
	}
	last.totalTokens = last.tokens
	if n > 0 {
		last.totalTokens += b.lines[n-1].totalTokens
		last.totalContinuing = b.lines[n-1].totalContinuing
		last.totalWithOmitted = b.lines[n-1].totalWithOmitted
	}
	if last.hasOmitted {
		last.totalWithOmitted++
	}
	if last.continuesLine {
		last.totalContinuing++
	}
}

// tokens returns how many tokens the lines i to j have, white space behind
// them included. It is exact where exact says so.
func (b *buffer) tokens(i, j int) int {
	return b.lines[j-1].totalTokens - b.lines[i].totalTokens + b.lines[i].tokens
}

// isExact reports whether the counts of the lines i to j add up: not where a
// line has several pieces, or something of it is omitted.
func (b *buffer) isExact(i, j int) bool {
	first, last := b.lines[i], b.lines[j-1]
	return last.totalContinuing == first.totalContinuing && last.totalWithOmitted == first.totalWithOmitted && !first.hasOmitted && !(i == 0 && b.estimated)
}

// exactTokens returns how many tokens the first n lines have, with the white
// space behind them.
func (b *buffer) exactTokens(n int) int {
	if b.isExact(0, n) {
		return b.tokens(0, n)
	}
	return b.countVisible(b.lines[0].start, b.lines[n-1].end)
}

// fits reports whether a passage of the lines i to j has at most limit tokens.
func (b *buffer) fits(i, j, limit int) bool {
	first, last := b.lines[i], b.lines[j-1]
	tokens := b.tokens(i, j)
	switch {
	case b.tooLarge(first.start, last.textEnd, 1):
		return false
	case !b.isExact(i, j):
		// Counting is worth it only where the sum leaves a doubt.
		return tokens-limit <= 16+limit/8 && b.countVisible(first.start, last.textEnd) <= limit
	case tokens <= limit:
		return true
	default:
		// White space at the end is not part of the passage. Where it has too
		// few bytes to make the difference, counting again is not worth it.
		rest, space := tokens-last.tokens, int(last.end-last.textEnd)
		return rest < limit && tokens-limit <= space+4 && rest+b.count(b.source(last.start, last.textEnd)) <= limit
	}
}

// tooLarge reports whether the source from start to end has more bytes than so
// many passages may have.
func (b *buffer) tooLarge(start, end int64, passages int64) bool {
	if end-start <= passages*b.maxBytes {
		return false
	}
	omitted := b.omittedBytes(start, end)
	return end-start-omitted > passages*b.maxBytes || omitted > passages*maxOmitted
}

// discardBefore removes what lies before the offset at, which may be inside a line, but
// for the bytes from the offset keep on.
func (b *buffer) discardBefore(at, keep int64) {
	n := 0
	for n < len(b.lines) && b.lines[n].textEnd <= at {
		n++
	}
	b.lines = b.lines[:copy(b.lines, b.lines[n:])]
	if n > 0 {
		b.estimated = false
	}
	b.discardOmitted(keep)
	if len(b.lines) > 0 && b.lines[0].start < at {
		b.moveStart(at)
		b.lines[0].boundary, b.lines[0].heading = markdown.BoundaryNone, nil
	}
	// Moving the bytes once half of them are done with costs one move a byte.
	if done := keep - b.base; done > int64(len(b.bytes))/2 {
		b.bytes = b.bytes[:copy(b.bytes, b.bytes[done:])]
		b.base = keep
	}
}

// moveStart lets the first line begin with the first text behind the offset at.
func (b *buffer) moveStart(at int64) {
	l := &b.lines[0]
	rest := b.bytes[at-b.base : l.textEnd-b.base]
	at = l.textEnd - int64(len(bytes.TrimLeftFunc(rest, unicode.IsSpace)))
	if l.kind == markdown.KindTable {
		l.skippedCells += len(cellEnds(b.source(l.start, at)))
	}
	l.tokens = int(1 + int64(l.tokens)*(l.end-at)/(l.end-l.start))
	l.start = at
	b.estimated = true
}

// nextAtBoundary returns the first line behind line i at which at least border begins.
func (b *buffer) nextAtBoundary(i int, border markdown.Boundary) int {
	for i++; i < len(b.lines) && b.lines[i].boundary < border; i++ {
	}
	return i
}
