package markdown

// heldLine is a line of a paragraph at the top level, which is held back until
// it is known whether it is one: it may be a link reference definition, a line
// of a setext heading, or the header row of a table. The lines of a heading in
// an HTML block are held back too.
type heldLine struct {
	start, end int64
	def        bool   // a definition may begin here; all before it are definitions then
	border     Border // in an HTML block
}

// hold holds a line back. When the paragraph grows too long to wait for its
// end, earlier lines are let go.
func (s *scanner) hold(l heldLine, defs int) {
	s.held = append(s.held, l)
	s.defs = defs - s.shed
	if s.holdsTooMuch() {
		settled := len(s.held) - 1
		for settled > 0 && !s.held[settled].def {
			settled--
		}
		s.release(settled)
	}
	if s.holdsTooMuch() {
		s.blocks.settleParagraph()
		s.release(len(s.held) - 1) // the last may still be the header row of a table
	}
	if s.cut {
		// The rest of the line follows it, before it is known what it is.
		s.blocks.settleParagraph()
		s.release(len(s.held))
	}
}

func (s *scanner) holdsTooMuch() bool {
	return s.held[len(s.held)-1].end-s.held[0].start > int64(s.sizes.paragraph)
}

// release yields the first n of the held lines.
func (s *scanner) release(n int) {
	for _, l := range s.held[:n] {
		p := Piece{Kind: KindParagraph, Border: AtLine, Start: l.start}
		switch {
		case s.defs > 0:
			s.defs--
			s.shed++
			p.Kind = KindDefinition
			if l.def {
				p.Border = AtBlock
			}
		case !s.begun:
			s.begun = true
			p.Border = AtBlock
		}
		s.emit(p, l.end)
	}
	s.held = s.held[:copy(s.held, s.held[n:])]
}

// releaseAs yields the held lines as the first lines of a block of another kind.
func (s *scanner) releaseAs(kind Kind, h *Heading) {
	border := AtBlock
	for _, l := range s.held {
		s.emit(Piece{Kind: kind, Border: border, Heading: h, Start: l.start}, l.end)
		border, h = AtLine, nil
	}
	s.held = s.held[:0]
	s.endParagraph()
}

// endParagraph yields what is held and forgets the paragraph, or the heading
// in an HTML block.
func (s *scanner) endParagraph() {
	if s.html.level > 0 {
		s.releaseHTML(s.closeHTMLHeading(s.held[len(s.held)-1].end))
	}
	if len(s.held) > 0 {
		s.release(len(s.held))
	}
	s.begun, s.shed, s.defs = false, 0, 0
}

// endHeading yields what is held as a heading, but for definitions before it.
func (s *scanner) endHeading(level int) {
	s.release(s.defs)
	start, end := s.held[0].start, s.held[len(s.held)-1].end
	s.releaseAs(KindHeading, &Heading{Level: level, Text: PlainText(string(s.win.bytes(start, end))), Start: start})
}

// endAtTable yields what is held, the last line as the header row of a table.
func (s *scanner) endAtTable() {
	s.release(len(s.held) - 1)
	s.releaseAs(KindTable, nil)
}
