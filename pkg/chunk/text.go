package chunk

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// splitText returns the end of a passage that takes as much as fits of the text in lines n to end.
// It ends at a boundary of the coarsest kind. If fresh, and there is no such boundary, it ends at a
// finer one.
func (p *packer) splitText(n, end int, fresh bool) int64 {
	budget := p.contentLimit(0)
	begin, start := p.lines[0].start, p.lines[n].start
	omitted := p.omittedBytes(begin, start)
	if n > 0 {
		budget -= p.exactTokens(n)
	}
	view := p.view(start, p.lines[end-1].textEnd, maxOmitted-omitted)
	text := view.text
	// The search is limited to one and a half times the size that probably fits.
	likely := len(text) * max(budget, 0) / max(p.tokens(n, end), 1)
	window := min(likely+likely/2+256, int(p.maxBytes-(start-begin-omitted)))
	continues := end == len(p.lines) && !p.atEnd || view.cut >= 0
	if window < len(text) {
		text, continues = text[:runeStart(text, window)], true
	} else if view.cut >= 0 && p.count(text) <= budget {
		return view.cut
	}
	size := p.longestFit(text, boundariesFor(p.lines[n], text), budget, continues, fresh)
	switch {
	case size > 0:
		return view.offset(size)
	case n > 0:
		return p.lines[n-1].end
	case startsWithSpace(text) && view.offset(0) > start:
		// White space after an omitted range is not embedded. The lines of a wrapped picture are an
		// example.
		return view.offset(len(text) - len(strings.TrimLeftFunc(text, unicode.IsSpace)))
	case startsWithSpace(text):
		// The first word does not fit because of the white space before it.
		p.moveStart(start)
		return p.splitText(0, end, true)
	default:
		_, size = utf8.DecodeRuneInString(text)
		return view.offset(size)
	}
}

// longestFit returns the length of the longest prefix of s that ends at a boundary and has at most
// budget tokens, or 0. It tries finer boundaries only if finer is set. continues says that s is the
// beginning of a longer text, so that its end is not a boundary.
func (p *packer) longestFit(s string, coarseToFine []func(string) []int, budget int, continues, finer bool) int {
	for _, endsOf := range coarseToFine {
		ends := endsOf(s)
		if continues && len(ends) > 0 && ends[len(ends)-1] == len(s) {
			ends = ends[:len(ends)-1]
		}
		if n := p.lastFit(s, ends, budget); n > 0 || !finer {
			return n
		}
		if len(ends) > 0 {
			s, continues = s[:ends[0]], false
		}
	}
	return 0
}

// lastFit returns the last of the offsets before which s has at most budget tokens, or 0. To save
// counting, it may return an earlier one that leaves up to a thirtieth of the budget unused.
func (p *packer) lastFit(s string, ends []int, budget int) int {
	fit, over := -1, len(ends)
	guess := 4 * budget // bytes
	for try := 0; fit+1 < over; try++ {
		mid := fit + 1 + (over-fit-1)/2
		if try < 4 {
			i, _ := slices.BinarySearch(ends[fit+1:over], guess)
			mid = min(fit+1+i, over-1)
		}
		n := p.count(s[:ends[mid]])
		if n > budget {
			over = mid
		} else {
			fit = mid
			if n >= budget-budget/30 {
				break
			}
		}
		guess = ends[mid] * budget / max(n, 1)
	}
	if fit < 0 {
		return 0
	}
	return ends[fit]
}

func startsWithSpace(s string) bool {
	r, _ := utf8.DecodeRuneInString(s)
	return unicode.IsSpace(r)
}

// runeStart returns the largest index in s, up to n, at which a rune begins.
func runeStart(s string, n int) int {
	for i := n; i > 0 && i > n-utf8.UTFMax; i-- {
		if utf8.RuneStart(s[i]) {
			return i
		}
	}
	return n
}
