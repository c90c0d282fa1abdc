package markdown

import (
	"bytes"
	"cmp"
	"io"
	"iter"
)

// Options say how a document is read. The zero value stands for CommonMark.
type Options struct {
	Syntax Syntax

	// Window is how much of the source is held, in bytes, 256 KiB if it is 0.
	// Tests use small ones, down to 16, to meet the borders of the window.
	Window int
}

// Scan yields the pieces of the document that r reads, but for a byte order
// mark and front matter at its beginning. A read error, wrapped, is the last
// thing it yields.
//
// It holds at most 256 KiB of the source. Three rules follow from that: what
// is told by the whole of a line (a thematic break, the underline of a
// heading, a delimiter row, a closing fence, a lone HTML tag) is told of the
// lines of at most 64 KiB, a link reference definition with a longer line, or
// of more than 64 KiB, is text, and a heading of one line, or in HTML, has the
// text of its first 64 KiB. A paragraph of more than 64 KiB, or with a line of
// more, is yielded before it is known whether it is a heading, or that line
// the header row of a table; see [Piece.Before].
// Lists and quotes nest up to 32 levels; markers beyond that are text.
//
// Beyond CommonMark and GFM, no block begins inside a formula that a paragraph
// displays between lines, and <h1> to <h6> in HTML blocks are headings.
func Scan(r io.Reader, opt Options) iter.Seq2[Piece, error] {
	return func(yield func(Piece, error) bool) {
		sizes := sizesOf(cmp.Or(opt.Window, defaultWindow))
		s := scanner{sizes: sizes, syntax: opt.Syntax, win: newWindow(r, sizes.window), yield: yield}
		s.blocks.modules = opt.Syntax == SyntaxMDX
		s.skipFrontMatter()
		for s.scanNext() {
		}
	}
}

// scanner turns the steps of the block phase into pieces. It holds back the
// lines of a paragraph at the top level, and of a heading in an HTML block,
// until it is known what they are.
type scanner struct {
	sizes     sizes
	syntax    Syntax
	win       *window
	blocks    blockParser
	kind      Kind  // of the latest piece
	cut       bool  // the line being read goes on
	lineStart int64 // where it begins
	stopped   bool  // nobody wants more pieces
	yield     func(Piece, error) bool

	held           []heldLine // of the open paragraph, not yet yielded
	heldDefs       int        // number of them that are definitions, if the paragraph ends here
	yieldedDefs    int        // number of lines of definitions before them that have been yielded
	paragraphBegun bool       // the beginning of the paragraph has been yielded
	longText       longText   // of the paragraph, as far as it has been yielded
	html           htmlHeading
}

// skipFrontMatter moves to where the text begins. It reads ahead only if the
// first bytes may be front matter. That which is text is yielded as a paragraph.
func (s *scanner) skipFrontMatter() {
	head := s.win.head(len(byteOrderMark) + len("---"))
	if s.syntax == SyntaxPlain {
		s.win.pos = len(head) - len(trimByteOrderMark(head))
		return
	}
	if start := trimByteOrderMark(head); bytes.HasPrefix(start, []byte("---")) || bytes.HasPrefix(start, []byte("+++")) {
		head = s.win.head(min(HeadSize, s.sizes.window))
	}
	front, text := ParseFrontMatter(head)
	s.win.pos = text
	if !front.IsParagraph {
		return
	}
	s.win.pos = front.End
	border := BoundaryBlock
	for at := front.Start; at < front.End && !s.stopped; border = BoundaryLine {
		line, _ := cutLine(head[at:front.End])
		end := at + len(line)
		s.emit(Piece{Kind: KindParagraph, Boundary: border, Blank: len(bytes.TrimSpace(line)) == 0, Start: int64(at)}, int64(end))
		at = end
	}
}

// scanNext reads a line and yields what it settles. It returns false at the end.
func (s *scanner) scanNext() bool {
	start := s.win.offset()
	keep := s.keepFrom(start)
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
		s.blocks.parseRest(s.win.bytes(keep, end), int(start-keep))
		if s.paragraphBegun {
			s.longText.add(s.win.bytes(start, end))
		}
		p := Piece{Kind: s.kind, Boundary: BoundaryNone, Start: start}
		if s.blocks.effect.inTagBlock {
			s.scanHTMLLine(p, end)
		} else {
			s.emit(p, end)
		}
	} else {
		s.lineStart = start
		s.scanLine(start, end)
	}
	return !s.stopped
}

// keepFrom returns the offset of the first byte that is still needed when a line
// begins at start.
func (s *scanner) keepFrom(start int64) int64 {
	if len(s.held) > 0 {
		return s.held[0].start
	}
	if s.cut {
		// The text that ends an HTML block or a formula may be cut in two.
		return max(start-int64(maxEndBytes), s.lineStart, s.win.base)
	}
	return start
}

// scanLine takes the line from start to end.
func (s *scanner) scanLine(start, end int64) {
	text := trimEnding(s.win.bytes(start, end))
	if s.syntax == SyntaxPlain {
		s.scanPlainLine(text, start, end)
		return
	}
	step := s.blocks.parseLine(text, s.cut)
	piece := Piece{Kind: step.kind, Boundary: step.boundary, Blank: step.blank, Start: start}
	switch {
	case step.blank:
		s.endParagraph()
		piece.Kind = s.kind
	case step.kind == KindParagraph:
		if s.html.level > 0 {
			s.endParagraph()
		}
		s.hold(heldLine{start: start, end: end, mayBeDefinition: step.mayBeDefinition}, step.definitionLines)
		return
	case step.inTagBlock:
		s.scanHTMLLine(piece, end)
		return
	case step.kind == KindHeading && step.boundary == BoundaryLine:
		s.yieldHeading(step.level, &piece)
	case step.kind == KindTable && step.boundary == BoundaryLine:
		s.yieldTableHeader(&piece)
	default:
		s.endParagraph()
	}
	if step.kind == KindHeading && step.boundary == BoundaryBlock {
		piece.Heading = &Heading{Level: step.level, Text: atxTitle(text), Start: start}
	}
	s.emit(piece, end)
}

// scanPlainLine takes a line of plain text, of which text is without its ending.
func (s *scanner) scanPlainLine(text []byte, start, end int64) {
	piece := Piece{Kind: KindParagraph, Boundary: BoundaryLine, Start: start}
	switch {
	case len(trimSpaces(text)) == 0:
		piece.Kind, piece.Blank, s.paragraphBegun = s.kind, true, false
	case !s.paragraphBegun:
		piece.Boundary, s.paragraphBegun = BoundaryBlock, true
	}
	s.emit(piece, end)
}

// emit yields the source from p.Start to end as pieces, the first of which is p.
func (s *scanner) emit(p Piece, end int64) {
	s.kind = p.Kind
	for text := s.win.bytes(p.Start, end); len(text) > 0 && !s.stopped; {
		n := len(text)
		if n > s.sizes.piece {
			n = runeStart(text, s.sizes.piece)
		}
		p.Text = text[:n]
		s.stopped = !s.yield(p, nil)
		text = text[n:]
		p = Piece{Kind: p.Kind, Boundary: BoundaryNone, Blank: p.Blank, Start: p.Start + int64(n)}
	}
}
