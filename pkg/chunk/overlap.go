package chunk

import (
	"strings"
	"unicode"

	"github.com/rivo/uniseg"
	"github.com/seed-7a112592/gristmill/pkg/markdown"
)

// overlap returns the range of a passage that begins up to opt.Overlap tokens before the first
// line, at the start of a sentence or a line, but not before floor. endWithout is the end of the
// passage without overlap. The passage may end earlier to make room for the overlap, but not inside
// a block if endWithout is the end of a block.
func (p *packer) overlap(floor, endWithout int64) (start, end int64) {
	p.overlapReserve = min(p.opt.Overlap, p.maxContentTokens/2)
	end = p.passageEnd()
	p.overlapReserve = 0
	if p.atBlockEnd(endWithout) && !p.atBlockEnd(end) {
		end = endWithout
	}

	start = p.lines[0].start
	text := strings.TrimRightFunc(p.passageText(start, end).VisibleContent(), unicode.IsSpace)
	// The overlap cannot reach back further than this.
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

// segmentStarts returns the offsets at which sentences and lines of s begin, or only lines if the
// lines are records. It leaves out the first one, whose beginning may be missing from s.
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

// atBlockEnd reports whether a block ends at offset at.
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
