package chunk

import (
	"strings"
	"unicode"

	"github.com/rivo/uniseg"
	"github.com/seed-7a112592/gristmill/pkg/markdown"
)

// overlap returns a passage that begins up to opt.Overlap tokens before the
// first line, at a sentence or a line, but not before floor. The passage gives
// up tokens for that, but no block is cut which would not be cut without.
// Without overlap it would end at whole.
func (p *packer) overlap(floor, whole int64) (start, end int64) {
	p.overlapReserve = min(p.opt.Overlap, p.maxContentTokens/2)
	end = p.passageEnd()
	p.overlapReserve = 0
	if p.atBlockEnd(whole) && !p.atBlockEnd(end) {
		end = whole
	}

	start = p.lines[0].start
	text := strings.TrimRightFunc(p.passageText(start, end).VisibleContent(), unicode.IsSpace)
	// No need to look at more than the overlap can reach.
	floor = max(floor, start-int64(maxTokenBytes*p.opt.Overlap))
	if omitted := p.omittedIn(floor, start); len(omitted) > 0 {
		floor = omitted[len(omitted)-1].end
	}
	before := p.source(floor, start)
	for _, at := range segmentStarts(before) {
		tail := before[at:]
		if p.count(tail) <= p.opt.Overlap && len(tail)+len(text) <= int(p.maxBytes) && p.count(tail+text) <= p.maxContentTokens {
			return floor + int64(at), end
		}
	}
	return start, end
}

// segmentStarts returns where the sentences and lines of s begin, or lines
// alone where they are records, but for the first, of which the beginning may
// be missing.
func segmentStarts(s string) []int {
	var starts []int
	records := strings.ContainsAny(strings.TrimRight(s, "\r\n"), "\r\n") && !isWrapped(s)
	at, state := 0, -1
	for rest := s; len(rest) > 0; {
		var segment string
		segment, rest, state = uniseg.FirstSentenceInString(rest, state)
		if at > 0 && strings.TrimSpace(segment) != "" && !(records && s[at-1] != '\n' && s[at-1] != '\r') {
			starts = append(starts, at)
		}
		at += len(segment)
	}
	return starts
}

// atBlockEnd reports whether a block ends at the offset.
func (p *packer) atBlockEnd(at int64) bool {
	for _, l := range p.lines {
		if l.start >= at {
			return l.boundary == markdown.BoundaryBlock
		}
		if l.end > at {
			return false
		}
	}
	return p.atEnd
}
