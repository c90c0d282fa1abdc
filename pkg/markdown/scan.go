package markdown

import (
	"bytes"
	"io"
	"iter"
)

// Scan yields the pieces of the document that r reads, but for a byte order
// mark and front matter at its beginning. A read error, wrapped, is the last
// thing it yields.
//
// It holds at most 256 KiB of the source. Two rules follow from that: what is
// told by the whole of a line (a thematic break, the underline of a heading, a
// delimiter row, a closing fence, a lone HTML tag) is told of the lines of at
// most 64 KiB, and a paragraph of more than 64 KiB does not become a heading.
// Lists and quotes nest up to 32 levels; markers beyond that are text.
func Scan(r io.Reader) iter.Seq2[Piece, error] { return scan(r, defaultSizes) }

func scan(r io.Reader, sz sizes) iter.Seq2[Piece, error] {
	return func(yield func(Piece, error) bool) {
		s := scanner{sizes: sz, win: newWindow(r, sz.window), yield: yield}
		s.skipFrontMatter()
		for s.next() {
		}
	}
}

// scanner turns the steps of the block phase into pieces. It holds back the
// lines of a paragraph at the top level until it is known what they are.
type scanner struct {
	sizes   sizes
	win     *window
	blocks  blocks
	kind    Kind // of the latest piece
	cut     bool // the line being read goes on
	stopped bool // nobody wants more pieces
	yield   func(Piece, error) bool

	held  []heldLine // of the open paragraph, not yet yielded
	defs  int        // so many of them are definitions, if the paragraph ends here
	shed  int        // so many lines of definitions before them have been yielded
	begun bool       // the beginning of the paragraph has been yielded
}

// skipFrontMatter moves to where the body begins. It reads ahead only if the
// first bytes may be front matter.
func (s *scanner) skipFrontMatter() {
	head := s.win.head(len(byteOrderMark) + len("---"))
	if bytes.HasPrefix(withoutByteOrderMark(head), []byte("---")) {
		head = s.win.head(min(HeadSize, s.sizes.window))
	}
	_, s.win.pos = FrontMatter(head)
}

// next reads a line and yields what it settles. It returns false at the end.
func (s *scanner) next() bool {
	start := s.win.offset()
	keep := s.keep(start)
	end, whole, err := s.win.line(s.sizes.line, keep)
	switch {
	case err == io.EOF:
		s.endParagraph()
		return false
	case err != nil:
		s.yield(Piece{}, err)
		return false
	}
	rest := s.cut // of a line that was cut
	s.cut = !whole
	if rest {
		s.blocks.more(s.win.bytes(keep, end))
		s.emit(Piece{Kind: s.kind, Border: WithinLine, Start: start}, end)
	} else {
		s.line(start, end)
	}
	return !s.stopped
}

// keep returns the offset of the first byte that is still needed when a line
// begins at start.
func (s *scanner) keep(start int64) int64 {
	if len(s.held) > 0 {
		return s.held[0].start
	}
	if s.cut {
		// The text that ends an HTML block may be cut in two.
		return max(start-int64(longestHTMLEnd), s.win.base)
	}
	return start
}

// line takes the line from start to end.
func (s *scanner) line(start, end int64) {
	text := bytes.TrimRight(s.win.bytes(start, end), "\r\n")
	step := s.blocks.line(text, s.cut)
	piece := Piece{Kind: step.kind, Border: step.border, Blank: step.blank, Start: start}
	switch {
	case step.blank:
		s.endParagraph()
		piece.Kind = s.kind
	case step.kind == KindParagraph:
		s.hold(heldLine{start, end, step.def}, step.defs)
		return
	case step.kind == KindHeading && step.border == AtLine:
		s.endHeading(step.level)
	case step.kind == KindTable && step.border == AtLine:
		s.endAtTable()
	default:
		s.endParagraph()
	}
	if step.kind == KindHeading && step.border == AtBlock {
		piece.Heading = &Heading{Level: step.level, Text: atxTitle(text), Start: start}
	}
	s.emit(piece, end)
}

// emit yields the source from p.Start to end as pieces, the first of which is p.
func (s *scanner) emit(p Piece, end int64) {
	s.kind = p.Kind
	for text := s.win.bytes(p.Start, end); len(text) > 0 && !s.stopped; {
		n := len(text)
		if n > s.sizes.piece {
			n = runeCut(text, s.sizes.piece)
		}
		p.Text = text[:n]
		s.stopped = !s.yield(p, nil)
		text = text[n:]
		p = Piece{Kind: p.Kind, Border: WithinLine, Blank: p.Blank, Start: p.Start + int64(n)}
	}
}
