package markdown

// heldLine is a line of a paragraph at the top level, which is held back until
// it is known whether it is one: it may be a link reference definition, a line
// of a setext heading, or the header row of a table. The lines of a heading in
// an HTML block are held back too.
type heldLine struct {
	start, end      int64
	mayBeDefinition bool     // a definition may begin here; all before it are definitions then
	boundary        Boundary // in an HTML block
}

// hold holds a line back. When the paragraph grows too long to wait for its
// end, earlier lines are let go.
func (s *scanner) hold(l heldLine, defs int) {
	s.held = append(s.held, l)
	s.heldDefs = defs - s.yieldedDefs
	if s.exceedsHoldLimit() {
		settled := len(s.held) - 1
		for settled > 0 && !s.held[settled].mayBeDefinition {
			settled--
		}
		s.yieldHeld(settled)
	}
	if s.exceedsHoldLimit() {
		s.blocks.defs.state = definitionsEnded
		s.yieldUndecided(len(s.held) - 1) // the last may still be the header row of a table
	}
	if s.cut {
		s.yieldUndecided(len(s.held)) // the rest of the line follows it
	}
}

// yieldUndecided yields the first n of the held lines before it is known what they are.
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

// longText is what is kept of the text of a paragraph that is too long to be
// held back: as much as the text of a heading is made of.
type longText struct {
	start, line int64  // offsets in the source of the text, and of its last line
	head, tail  []byte // the first and the last bytes
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

// yieldHeld yields the first n of the held lines.
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

// yieldHeldAs yields the held lines as the first lines of a block of another kind.
func (s *scanner) yieldHeldAs(kind Kind, h *Heading) {
	border := BoundaryBlock
	for _, l := range s.held {
		s.emit(Piece{Kind: kind, Boundary: border, Heading: h, Start: l.start}, l.end)
		border, h = BoundaryLine, nil
	}
	s.held = s.held[:0]
	s.endParagraph()
}

// endParagraph yields what is held and forgets the paragraph, or the heading
// in an HTML block.
func (s *scanner) endParagraph() {
	if s.html.level > 0 {
		s.yieldHeldHTML(s.closeHTMLHeading(s.held[len(s.held)-1].end))
	}
	if len(s.held) > 0 {
		s.yieldHeld(len(s.held))
	}
	s.paragraphBegun, s.yieldedDefs, s.heldDefs = false, 0, 0
}

// yieldHeading yields what is held as a heading, but for definitions before it.
// If a part of the heading has been let go, all of it has, and the underline is
// what tells of it.
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

// yieldTableHeader yields what is held, the last line as the header row of a table.
// If that has been let go, the delimiter row tells of it.
func (s *scanner) yieldTableHeader(delimiter *Piece) {
	if n := len(s.held); n > 0 {
		s.yieldHeld(n - 1)
		s.yieldHeldAs(KindTable, nil)
		return
	}
	s.endParagraph()
	delimiter.Boundary, delimiter.BytesBefore = BoundaryBlock, delimiter.Start-s.longText.line
}
