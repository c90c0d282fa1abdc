package markdown

// heldLine is a line of a top-level paragraph that is held, not yielded, until its kind is known:
// it may be a link reference definition, a line of a setext heading, or the header row of a table.
// The lines of a heading in an HTML block are held too.
type heldLine struct {
	start, end      int64
	mayBeDefinition bool     // a definition may begin here; then all lines before it are definitions
	boundary        Boundary // in an HTML block
}

// hold adds a line to the held lines. defs is the number of lines of the paragraph that are
// definitions, if it ends here. If the paragraph is too long to hold, hold yields earlier lines.
func (s *scanner) hold(l heldLine, defs int) {
	s.held = append(s.held, l)
	s.heldDefs = defs - s.yieldedDefs
	if s.exceedsHoldLimit() {
		decided := len(s.held) - 1
		for decided > 0 && !s.held[decided].mayBeDefinition {
			decided--
		}
		s.yieldHeld(decided)
	}
	if s.exceedsHoldLimit() {
		s.blocks.defs.state = definitionsEnded
		s.yieldUndecided(len(s.held) - 1) // the last line may still be the header row of a table
	}
	if s.cut {
		s.yieldUndecided(len(s.held)) // the next piece is the rest of this line
	}
}

// yieldUndecided yields the first n held lines before their kind is known.
func (s *scanner) yieldUndecided(n int) {
	if text := s.held[min(s.heldDefs, n):n]; len(text) > 0 {
		if !s.paragraphBegun {
			s.longText = longText{start: text[0].start, head: s.longText.head[:0], tail: s.longText.tail[:0]}
		}
		s.longText.line = text[len(text)-1].start
		s.longText.add(s.win.bytes(text[0].start, text[len(text)-1].end))
	}
	s.yieldHeld(n)
}

// longText keeps the beginning and the end of a paragraph that is too long to hold. They are enough
// for the text of a heading.
type longText struct {
	start, line int64  // offsets in the source of the text and of its last line
	head, tail  []byte // the first and the last maxInline bytes
}

func (t *longText) add(s []byte) {
	n := min(len(s), maxInline-len(t.head))
	t.head = append(t.head, s[:n]...)
	s = s[max(n, len(s)-maxInline):]
	if n := len(t.tail) + len(s) - maxInline; n > 0 {
		t.tail = t.tail[:copy(t.tail, t.tail[n:])]
	}
	t.tail = append(t.tail, s...)
}

func (s *scanner) exceedsHoldLimit() bool {
	return s.held[len(s.held)-1].end-s.held[0].start > int64(s.sizes.paragraph)
}

// yieldHeld yields the first n held lines.
func (s *scanner) yieldHeld(n int) {
	for _, l := range s.held[:n] {
		p := Piece{Kind: KindParagraph, Boundary: BoundaryLine, Start: l.start}
		switch {
		case s.heldDefs > 0:
			s.heldDefs--
			s.yieldedDefs++
			p.Kind = KindDefinition
			if l.mayBeDefinition {
				p.Boundary = BoundaryBlock
			}
		case !s.paragraphBegun:
			s.paragraphBegun = true
			p.Boundary = BoundaryBlock
		}
		s.emit(p, l.end)
	}
	s.held = s.held[:copy(s.held, s.held[n:])]
}

// yieldHeldAs yields the held lines as the first lines of a block of the given kind, with the
// heading h.
func (s *scanner) yieldHeldAs(kind Kind, h *Heading) {
	boundary := BoundaryBlock
	for _, l := range s.held {
		s.emit(Piece{Kind: kind, Boundary: boundary, Heading: h, Start: l.start}, l.end)
		boundary, h = BoundaryLine, nil
	}
	s.held = s.held[:0]
	s.endParagraph()
}

// endParagraph yields the held lines and ends the paragraph, or the heading in an HTML block.
func (s *scanner) endParagraph() {
	if s.html.level > 0 {
		s.yieldHeldHTML(s.closeHTMLHeading(s.held[len(s.held)-1].end))
	}
	if len(s.held) > 0 {
		s.yieldHeld(len(s.held))
	}
	s.paragraphBegun, s.yieldedDefs, s.heldDefs = false, 0, 0
}

// yieldHeading yields the held lines as a heading, after the definitions before it. If a part of
// the heading has already been yielded, it yields the rest as a paragraph, and sets the heading on
// the underline.
func (s *scanner) yieldHeading(level int, underline *Piece) {
	s.yieldHeld(s.heldDefs)
	if !s.paragraphBegun {
		start, end := s.held[0].start, s.held[len(s.held)-1].end
		s.yieldHeldAs(KindHeading, &Heading{Level: level, Text: PlainText(string(s.win.bytes(start, end))), Start: start})
		return
	}
	s.yieldUndecided(len(s.held))
	s.endParagraph()
	underline.Boundary, underline.BytesBefore = BoundaryBlock, underline.Start-s.longText.start
	underline.Heading = &Heading{Level: level, Text: PlainText(string(s.longText.head) + string(s.longText.tail)), Start: s.longText.start}
}

// yieldTableHeader yields the held lines, the last one as the header row of a table. If that line
// has already been yielded, the delimiter row marks the block.
func (s *scanner) yieldTableHeader(delimiter *Piece) {
	if n := len(s.held); n > 0 {
		s.yieldHeld(n - 1)
		s.yieldHeldAs(KindTable, nil)
		return
	}
	s.endParagraph()
	delimiter.Boundary, delimiter.BytesBefore = BoundaryBlock, delimiter.Start-s.longText.line
}
