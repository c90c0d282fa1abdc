package chunk

import (
	"bytes"
	"math"
	"unicode"

	"github.com/seed-7a112592/gristmill/pkg/markdown"
)

// line is a line that is not blank, or a piece of a very long one, with the blank lines after it.
type line struct {
	kind          markdown.Kind
	boundary      markdown.Boundary
	continuesLine bool // begins inside a line of the source
	cutRow        bool // belongs to a cut line that may be a table row
	hasOmitted    bool // part of the line is omitted

	heading *markdown.Heading // begins here; nil for none
	table   *tableHead        // contains the line; nil for none

	start, end       int64 // range in the source
	textEnd          int64 // end of the text; only white space from here to end
	tokens           int   // from start to end
	totalTokens      int   // of this line and all before it
	totalContinuing  int   // number of lines up to this one that have continuesLine
	totalWithOmitted int   // number of lines up to this one that have hasOmitted
	skippedCells     int   // number of cells of the table row that begin before start
}

// buffer holds the lines that are not yet in a passage, with their bytes and the bytes that the
// next passage may repeat.
type buffer struct {
	count    func(string) int
	maxBytes int64 // of a passage

	bytes []byte
	base  int64 // offset in the source of bytes[0]
	lines []line

	omission omissionFinder
	omitted  []span // ranges of the source, in order

	cutRow    bool // the last line belongs to a cut line that may be a table row
	uncounted bool // the last line is not counted yet, because more blank lines may follow
	estimated bool // the first line was split, and its tokens are an estimate

	// Boundary and heading of white space, which the next line inherits.
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
	continuesLine := len(b.bytes) > 0 && !endsLine(b.bytes)
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
		hasOmitted: len(omitted) > 0, continuesLine: continuesLine, cutRow: b.cutRow,
	}
	if l.heading != nil {
		l.boundary = markdown.BoundaryBlock // also inside an HTML block
	}
	if l.heading == nil {
		l.heading = b.nextHeading
	}
	b.nextBoundary, b.nextHeading = 0, nil
	b.lines = append(b.lines, l)
	b.uncounted = true
}

func endsLine(s []byte) bool { return s[len(s)-1] == '\n' || s[len(s)-1] == '\r' }

// pushBlank appends a piece of white space to the last line. It returns false and does nothing if
// the white space is too large for a passage.
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

// countLast counts the last line. It is called when no more blank lines can follow.
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

// tokens returns the number of tokens of lines i to j, including the white space after them. It is
// exact if isExact(i, j).
func (b *buffer) tokens(i, j int) int {
	return b.lines[j-1].totalTokens - b.lines[i].totalTokens + b.lines[i].tokens
}

// isExact reports whether the counts of lines i to j can be added: no line has several pieces or an
// omitted part.
func (b *buffer) isExact(i, j int) bool {
	first, last := b.lines[i], b.lines[j-1]
	return last.totalContinuing == first.totalContinuing && last.totalWithOmitted == first.totalWithOmitted && !first.hasOmitted && !(i == 0 && b.estimated)
}

// exactTokens returns the number of tokens of the first n lines, including the white space after
// them.
func (b *buffer) exactTokens(n int) int {
	if b.isExact(0, n) {
		return b.tokens(0, n)
	}
	return b.countVisible(b.lines[0].start, b.lines[n-1].end)
}

// fits reports whether a passage of lines i to j has at most limit tokens.
func (b *buffer) fits(i, j, limit int) bool {
	first, last := b.lines[i], b.lines[j-1]
	tokens := b.tokens(i, j)
	switch {
	case b.tooLarge(first.start, last.textEnd, 1):
		return false
	case !b.isExact(i, j):
		// The text is counted only if the sum does not decide.
		return tokens-limit <= 16+limit/8 && b.countVisible(first.start, last.textEnd) <= limit
	case tokens <= limit:
		return true
	default:
		// White space at the end is not part of the passage. The last line is counted again without
		// it only if the white space has enough bytes to make the difference.
		rest, space := tokens-last.tokens, int(last.end-last.textEnd)
		return rest < limit && tokens-limit <= space+4 && rest+b.count(b.source(last.start, last.textEnd)) <= limit
	}
}

// tooLarge reports whether the source from start to end has too many bytes for the given number of
// passages.
func (b *buffer) tooLarge(start, end int64, passages int64) bool {
	if end-start <= passages*b.maxBytes {
		return false
	}
	omitted := b.omittedBytes(start, end)
	return end-start-omitted > passages*b.maxBytes || omitted > passages*maxOmitted
}

// discardBefore removes the lines before offset at, which may be inside a line. It keeps the bytes
// from offset keep on.
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
	// The bytes are moved only when more than half of them are no longer needed, so that each byte
	// is moved about once.
	if done := keep - b.base; done > int64(len(b.bytes))/2 {
		b.bytes = b.bytes[:copy(b.bytes, b.bytes[done:])]
		b.base = keep
	}
}

// moveStart makes the first line begin with the first text after offset at.
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

// nextAtBoundary returns the first line after line i whose boundary is at least the given one.
func (b *buffer) nextAtBoundary(i int, boundary markdown.Boundary) int {
	for i++; i < len(b.lines) && b.lines[i].boundary < boundary; i++ {
	}
	return i
}
