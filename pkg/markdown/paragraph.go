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
		s.blocks.defs.state = afterDefinitions
		s.letGo(len(s.held) - 1) // the last may still be the header row of a table
	}
	if s.cut {
		s.letGo(len(s.held)) // the rest of the line follows it
	}
}

// letGo yields the first n of the held lines before it is known what they are.
func (s *scanner) letGo(n int) {
	if text := s.held[min(s.defs, n):n]; len(text) > 0 {
		if !s.begun {
			s.text = longText{start: text[0].start, head: s.text.head[:0], tail: s.text.tail[:0]}
		}
		s.text.line = text[len(text)-1].start
		s.text.add(s.win.bytes(text[0].start, text[len(text)-1].end))
	}
	s.release(n)
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
// If a part of the heading has been let go, all of it has, and the underline is
// what tells of it.
func (s *scanner) endHeading(level int, underline *Piece) {
	s.release(s.defs)
	if !s.begun {
		start, end := s.held[0].start, s.held[len(s.held)-1].end
		s.releaseAs(KindHeading, &Heading{Level: level, Text: PlainText(string(s.win.bytes(start, end))), Start: start})
		return
	}
	s.letGo(len(s.held))
	s.endParagraph()
	underline.Border, underline.Before = AtBlock, underline.Start-s.text.start
	underline.Heading = &Heading{Level: level, Text: PlainText(string(s.text.head) + string(s.text.tail)), Start: s.text.start}
}

// endAtTable yields what is held, the last line as the header row of a table.
// If that has been let go, the delimiter row tells of it.
func (s *scanner) endAtTable(delimiter *Piece) {
	if n := len(s.held); n > 0 {
		s.release(n - 1)
		s.releaseAs(KindTable, nil)
		return
	}
	s.endParagraph()
	delimiter.Border, delimiter.Before = AtBlock, delimiter.Start-s.text.line
}
