package chunk

import "github.com/seed-7a112592/gristmill/pkg/markdown"

// passageEnd returns the offset at which the next passage ends.
func (p *packer) passageEnd() int64 {
	i := 0
	for i < p.skipModules(0) && p.fits(0, i+1) {
		i++ // modules go with the text after them
	}
	for i < len(p.lines) && p.lines[i].heading != nil {
		next := p.blockEnd(i)
		switch end, known := p.sectionEnd(i); {
		case !p.fits(0, next) && i == 0:
			return p.splitText(0, next, true)
		case !p.fits(0, next):
			return p.lines[i-1].end
		case !known || !p.fits(i, end) || p.onlyHeadings(i, end):
			// The section is too large or has no text. Its heading, and the headings before it, go
			// with the text after it.
			i = next
		case p.fits(0, end):
			return p.lines[end-1].end
		default:
			return p.lines[i-1].end
		}
	}
	return p.packBlocks(i)
}

// sectionEnd returns the line after the section whose heading is line i. The end is not known if
// the section continues after the buffer, or is too long for a passage.
func (p *packer) sectionEnd(i int) (end int, known bool) {
	level := p.lines[i].heading.Level
	for j := i + 1; j < len(p.lines); j++ {
		if h := p.lines[j].heading; h != nil && h.Level <= level {
			return j, true
		}
		if p.tokens(i, j) > p.opt.Tokens+p.lines[j-1].tokens {
			return 0, false
		}
	}
	return len(p.lines), p.atEnd
}

// onlyHeadings reports whether lines i to j are only headings and modules.
func (p *packer) onlyHeadings(i, j int) bool {
	for _, l := range p.lines[i:j] {
		if l.kind != markdown.KindHeading && l.kind != markdown.KindModule && l.heading == nil {
			return false
		}
	}
	return true
}

// packBlocks returns the end of a passage that begins with the first k lines, which are headings,
// and takes as many of the blocks after them as fit.
func (p *packer) packBlocks(k int) int64 {
	n := k
	for n < len(p.lines) && p.lines[n].heading == nil {
		end := p.blockEnd(n)
		if p.fits(0, end) {
			n = end
			continue
		}
		// A block that fits into a passage of its own is not split. The exception is a paragraph or
		// a list after headings: it is split so that the headings are not a passage of their own.
		afterHeadings := n == k && k > 0
		kind := p.lines[n].kind
		divisible := kind == markdown.KindParagraph || kind == markdown.KindList
		if p.fits(n, end) && !(afterHeadings && divisible) {
			break
		}
		return p.splitBlock(n, end, n == k)
	}
	return p.lines[n-1].end
}

// splitBlock returns the end of a passage that takes as much as fits of the block in lines n to
// end. fresh says that the passage has only headings before the block.
func (p *packer) splitBlock(n, end int, fresh bool) int64 {
	if p.lines[n].kind == markdown.KindParagraph {
		return p.splitText(n, end, fresh)
	}
	for _, unitEnd := range []func(int) int{p.partEnd, p.lineEnd} {
		m := n
		for m < end && p.fits(0, min(unitEnd(m), end)) {
			m = min(unitEnd(m), end)
		}
		if m > n {
			return p.lines[m-1].end
		}
		// A unit that does not fit here begins the next passage if this one has text other than
		// headings, or if the unit fits there.
		first := min(unitEnd(n), end)
		if n > 0 && (!fresh || p.fits(n, first)) {
			return p.lines[n-1].end
		}
		end = first
	}
	return p.splitText(n, end, fresh)
}

// blockEnd returns the line after the block that contains line i.
func (p *packer) blockEnd(i int) int { return p.nextAtBoundary(i, markdown.BoundaryBlock) }

// lineEnd returns the buffered line after the line of the source that contains line i.
func (p *packer) lineEnd(i int) int { return p.nextAtBoundary(i, markdown.BoundaryLine) }

// partEnd returns the line after the list item or table row that contains line i. The head of a
// table is not separated from the row after it.
func (p *packer) partEnd(i int) int {
	end := p.nextAtBoundary(i, markdown.BoundaryPart)
	if end < len(p.lines) && p.lines[i].kind == markdown.KindTable && p.lines[i].boundary == markdown.BoundaryBlock && p.lines[end].boundary == markdown.BoundaryPart {
		end = p.nextAtBoundary(end, markdown.BoundaryPart)
	}
	return end
}
