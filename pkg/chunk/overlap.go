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
	p.limit = p.opt.Tokens - p.opt.Overlap
	end = p.choose()
	p.limit = p.opt.Tokens
	if p.atBlockEnd(whole) && !p.atBlockEnd(end) {
		end = whole
	}

	start = p.lines[0].start
	text := p.source(start, end)
	text = strings.TrimRightFunc(text, unicode.IsSpace)
	// No need to look at more than the overlap can reach.
	floor = max(floor, start-int64(maxTokenBytes*p.opt.Overlap))
	before := p.source(floor, start)
	for _, at := range segmentStarts(before) {
		tail := before[at:]
		if p.count(tail) <= p.opt.Overlap && len(tail)+len(text) <= int(p.maxBytes) && p.count(tail+text) <= p.limit {
			return floor + int64(at), end
		}
	}
	return start, end
}

// segmentStarts returns where the sentences and lines of s begin, but for the
// first, of which the beginning may be missing.
func segmentStarts(s string) []int {
	var starts []int
	at, state := 0, -1
	for rest := s; len(rest) > 0; {
		var segment string
		segment, rest, state = uniseg.FirstSentenceInString(rest, state)
		if at > 0 && strings.TrimSpace(segment) != "" {
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
			return l.border == markdown.AtBlock
		}
		if l.end > at {
			return false
		}
	}
	return p.ended
}
