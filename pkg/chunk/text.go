package chunk

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// splitText returns the end of a passage that takes what it can of the text in
// the lines n to end: up to one of the coarsest borders, and if it is fresh and
// there is none, up to a finer one.
func (p *packer) splitText(n, end int, fresh bool) int64 {
	budget := p.contentLimit(0)
	begin, start := p.lines[0].start, p.lines[n].start
	omitted := p.omittedBytes(begin, start)
	if n > 0 {
		budget -= p.exactTokens(n)
	}
	view := p.view(start, p.lines[end-1].textEnd, maxOmitted-omitted)
	text := view.text
	// Half as much again as is likely to fit is enough to look at.
	likely := len(text) * max(budget, 0) / max(p.tokens(n, end), 1)
	window := min(likely+likely/2+256, int(p.maxBytes-(start-begin-omitted)))
	short := end == len(p.lines) && !p.atEnd || view.cut >= 0
	if window < len(text) {
		text, short = text[:runeStart(text, window)], true
	} else if view.cut >= 0 && p.count(text) <= budget {
		return view.cut
	}
	size := p.longestFit(text, boundariesFor(p.lines[n], text), budget, short, fresh)
	switch {
	case size > 0:
		return view.offset(size)
	case n > 0:
		return p.lines[n-1].end
	case startsWithSpace(text) && view.offset(0) > start:
		// Behind what is omitted, as in each line of a picture, white space is
		// not embedded.
		return view.offset(len(text) - len(strings.TrimLeftFunc(text, unicode.IsSpace)))
	case startsWithSpace(text):
		// The white space before it is too much for the first word.
		p.moveStart(start)
		return p.splitText(0, end, true)
	default:
		_, size = utf8.DecodeRuneInString(text)
		return view.offset(size)
	}
}

// longestFit returns the length of the longest beginning of s that ends at a
// border and has at most budget tokens, or 0. It looks for a finer border only
// if finer is set. If short, s goes on, and its end is no border.
func (p *packer) longestFit(s string, coarseToFine []func(string) []int, budget int, short, finer bool) int {
	for _, ends := range coarseToFine {
		borders := ends(s)
		if short && len(borders) > 0 && borders[len(borders)-1] == len(s) {
			borders = borders[:len(borders)-1]
		}
		if n := p.lastFit(s, borders, budget); n > 0 || !finer {
			return n
		}
		if len(borders) > 0 {
			s, short = s[:borders[0]], false
		}
	}
	return 0
}

// lastFit returns the last of the borders of s before which there are at most
// budget tokens, or 0. It may settle for one that leaves a thirtieth unused.
func (p *packer) lastFit(s string, borders []int, budget int) int {
	fit, over := -1, len(borders)
	guess := 4 * budget // bytes
	for try := 0; fit+1 < over; try++ {
		mid := fit + 1 + (over-fit-1)/2
		if try < 4 {
			i, _ := slices.BinarySearch(borders[fit+1:over], guess)
			mid = min(fit+1+i, over-1)
		}
		n := p.count(s[:borders[mid]])
		if n > budget {
			over = mid
		} else {
			fit = mid
			if n >= budget-budget/30 {
				break
			}
		}
		guess = borders[mid] * budget / max(n, 1)
	}
	if fit < 0 {
		return 0
	}
	return borders[fit]
}

func startsWithSpace(s string) bool {
	r, _ := utf8.DecodeRuneInString(s)
	return unicode.IsSpace(r)
}

// runeStart returns the last index in s, at most n, at which a rune begins.
func runeStart(s string, n int) int {
	for i := n; i > 0 && i > n-utf8.UTFMax; i-- {
		if utf8.RuneStart(s[i]) {
			return i
		}
	}
	return n
}
