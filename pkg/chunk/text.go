package chunk

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

// splitText returns the end of a passage that takes what it can of the text in
// the lines n to end: sentences, and if it is fresh, where no sentence fits,
// words, then grapheme clusters, then runes.
func (p *packer) splitText(n, end int, fresh bool) int64 {
	budget := p.limit
	if n > 0 {
		budget -= p.exactTokens(n)
	}
	start := p.lines[n].start
	text := p.source(start, p.lines[end-1].text)
	// Half as much again as is likely to fit is enough to look at.
	likely := len(text) * max(budget, 0) / max(p.tokens(n, end), 1)
	window := min(likely+likely/2+256, int(p.maxBytes))
	if n > 0 {
		window = min(window, int(p.maxBytes-(start-p.lines[0].start)))
	}
	short := end == len(p.lines) && !p.ended
	if window < len(text) {
		text, short = text[:runeStart(text, window)], true
	}
	size := p.longest(text, budget, short, fresh)
	switch {
	case size > 0:
		return start + int64(size)
	case n > 0:
		return p.lines[n-1].end
	case startsWithSpace(text):
		// The white space before it is too much for the first word.
		p.startAt(start)
		return p.splitText(0, end, true)
	default:
		_, size = utf8.DecodeRuneInString(text)
		return start + int64(size)
	}
}

// longest returns the length of the longest beginning of s that ends at a
// border and has at most budget tokens, or 0. It looks for a finer border only
// if finer is set. If short, s goes on, and its end is no border.
func (p *packer) longest(s string, budget int, short, finer bool) int {
	for _, ends := range []func(string) []int{sentenceEnds, wordEnds, clusterEnds, runeEnds} {
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

// sentenceEnds returns where the sentences of s end. A line ending is not the
// end of a sentence, but white space like any other.
func sentenceEnds(s string) []int {
	return segmentEnds(lineEndings.Replace(s), uniseg.FirstSentenceInString)
}

var lineEndings = strings.NewReplacer("\n", " ", "\r", " ")

func wordEnds(s string) []int { return segmentEnds(s, uniseg.FirstWordInString) }

func clusterEnds(s string) []int {
	return segmentEnds(s, func(s string, state int) (cluster, rest string, next int) {
		cluster, rest, _, next = uniseg.FirstGraphemeClusterInString(s, state)
		return cluster, rest, next
	})
}

func runeEnds(s string) []int {
	return segmentEnds(s, func(s string, _ int) (first, rest string, next int) {
		_, n := utf8.DecodeRuneInString(s)
		return s[:n], s[n:], 0
	})
}

// segmentEnds returns where the segments of s end, but for white space at
// their end, which is left to the next one.
func segmentEnds(s string, first func(s string, state int) (segment, rest string, next int)) []int {
	var ends []int
	at, state := 0, -1
	for rest := s; len(rest) > 0; {
		var segment string
		segment, rest, state = first(rest, state)
		if n := len(strings.TrimRightFunc(segment, unicode.IsSpace)); n > 0 {
			ends = append(ends, at+n)
		}
		at += len(segment)
	}
	return ends
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
