package markdown

import (
	"bytes"
	"cmp"
	"io"
	"iter"
)

// Options say how a document is read. The zero value is for CommonMark with the GitHub extensions.
type Options struct {
	Syntax Syntax

	// Window is the number of bytes of the document that are held in memory. 0 means 256 KiB. Tests
	// use small windows, down to 16 bytes, to reach its limits.
	Window int
}

// Scan reads a document from r and yields its pieces in order, without a byte order mark and front
// matter at its beginning. If reading fails, Scan yields the wrapped error last. The sequence reads
// r while it is iterated, so it can be used once.
//
// Scan holds at most 256 KiB of the document. Some limits follow:
//   - Blocks that need a complete line to be recognised (a thematic break, the underline of a
//     heading, a delimiter row, a closing fence, a lone HTML tag) are recognised in lines of at
//     most 64 KiB.
//   - A link reference definition of more than 64 KiB, or with a longer line, is text.
//   - The text of an ATX heading or an HTML heading is taken from its first 64 KiB.
//   - A paragraph of more than 64 KiB, or with a longer line, is yielded before it is known whether
//     it is a heading, or whether its last line is the header row of a table; see
//     [Piece.BytesBefore].
//
// Lists and quotes nest up to 32 levels; deeper markers are text.
//
// There are two extensions to CommonMark and GFM. No block begins inside a display formula ($$ …
// $$, \[ … \] or \begin{…} … \end{…}) of a paragraph. <h1> to <h6> in HTML blocks are headings.
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

// scanner makes pieces of the effects of lines. It holds the lines of a top-level paragraph, and of
// a heading in an HTML block, until their kind is known.
type scanner struct {
	sizes     sizes
	syntax    Syntax
	win       *window
	blocks    blockParser
	kind      Kind  // of the latest piece
	cut       bool  // the latest line was cut, and its rest follows
	lineStart int64 // start of the latest line
	stopped   bool  // the caller wants no more pieces
	yield     func(Piece, error) bool

	held           []heldLine // of the open paragraph, not yet yielded
	heldDefs       int        // number of held lines that are definitions, if the paragraph ends here
	yieldedDefs    int        // number of lines of definitions of the paragraph that have been yielded
	paragraphBegun bool       // the beginning of the paragraph has been yielded
	longText       longText   // the part of the paragraph that has been yielded
	html           htmlHeading
}

// skipFrontMatter moves to the beginning of the text. It reads ahead only if the first bytes may be
// front matter. Front matter that is text is yielded as a paragraph.
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
	boundary := BoundaryBlock
	for at := front.Start; at < front.End && !s.stopped; boundary = BoundaryLine {
		line, _ := cutLine(head[at:front.End])
		end := at + len(line)
		s.emit(Piece{Kind: KindParagraph, Boundary: boundary, Blank: len(bytes.TrimSpace(line)) == 0, Start: int64(at)}, int64(end))
		at = end
	}
}

// scanNext reads a line and yields the pieces whose kind is then known. It returns false at the
// end.
func (s *scanner) scanNext() bool {
	start := s.win.offset()
	keep := s.keepFrom(start)
	end, complete, err := s.win.line(s.sizes.line, keep)
	switch {
	case err == io.EOF:
		s.endParagraph()
		return false
	case err != nil:
		s.yield(Piece{}, err)
		return false
	}
	isRest := s.cut // of a line that was cut
	s.cut = !complete
	if isRest {
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

// keepFrom returns the offset of the first byte that is still needed when the next read begins at
// start.
func (s *scanner) keepFrom(start int64) int64 {
	if len(s.held) > 0 {
		return s.held[0].start
	}
	if s.cut {
		// The text that ends an HTML block or a formula may be divided by the cut.
		return max(start-int64(maxEndBytes), s.lineStart, s.win.base)
	}
	return start
}

// scanLine takes the line from start to end, or the beginning of a line that was cut.
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

// scanPlainLine takes a line of plain text. text is the line without its ending.
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

// emit yields the source from p.Start to end as one or more pieces. p is the first one, without its
// text.
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
