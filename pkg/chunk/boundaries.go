package chunk

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"
	"github.com/seed-7a112592/gristmill/pkg/markdown"
)

// boundariesFor returns the ways to split a text s that begins in line l, coarse to fine: each
// function returns the end offsets of the parts of a text. Wrapped prose is split between sentences
// first. Other lines are records, and are split between lines first.
func boundariesFor(l line, s string) []func(string) []int {
	fine := []func(string) []int{sentenceEnds, wordEnds, clusterEnds, runeEnds}
	switch {
	case l.kind == markdown.KindTable, l.cutRow && !strings.ContainsAny(s, "\r\n"):
		return append([]func(string) []int{cellEnds}, fine...)
	case !strings.ContainsAny(s, "\r\n"):
		return fine
	case isWrapped(s):
		return append([]func(string) []int{sentenceEnds, lineEnds}, fine[1:]...)
	default:
		return append([]func(string) []int{lineEnds}, fine...)
	}
}

// isWrapped reports whether the lines of s are wrapped prose: most lines are as long as they can
// be, many lines continue the sentence of the line before, and few begin alike.
func isWrapped(s string) bool {
	lines := make([]string, 0, 16)
	width := 0
	for line := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == '\n' || r == '\r' }) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
			width = max(width, utf8.RuneCountInString(line))
		}
	}
	breaks, full, within, alike := len(lines)-1, 0, 0, 0
	for i := range max(breaks, 0) {
		first, next := firstWord(lines[i]), firstWord(lines[i+1])
		if utf8.RuneCountInString(lines[i])+1+utf8.RuneCountInString(next) > width {
			full++
		}
		if r, _ := utf8.DecodeRuneInString(next); unicode.IsLetter(r) && !unicode.IsUpper(r) && !endsSentence(lines[i]) {
			within++
		}
		if first == next || wordShape(first) == wordShape(next) && wordShape(first) != "a" {
			alike++
		}
	}
	return 4*full >= 3*breaks && 5*within >= 2*breaks && 2*alike < max(breaks, 1)
}

func firstWord(line string) string {
	if i := strings.IndexFunc(line, unicode.IsSpace); i >= 0 {
		return line[:i]
	}
	return line
}

// endsSentence reports whether a line ends with the end of a sentence.
func endsSentence(line string) bool {
	line = strings.TrimRight(line, "\"'`*_)]»”’」』")
	r, _ := utf8.DecodeLastRuneInString(line)
	return unicode.Is(unicode.STerm, r)
}

// wordShape returns the word with each run of letters replaced by a and each run of digits by 0.
func wordShape(word string) string {
	var b strings.Builder
	last := rune(-1)
	for _, r := range word {
		switch {
		case unicode.IsLetter(r) || unicode.IsMark(r):
			r = 'a'
		case unicode.IsDigit(r):
			r = '0'
		}
		if r != last || r != 'a' && r != '0' {
			b.WriteRune(r)
		}
		last = r
	}
	return b.String()
}

// cellEnds returns the offsets at which the cells of a table row end, after their pipes. A pipe
// that is escaped or in a code span does not end a cell.
func cellEnds(s string) []int {
	var ends []int
	empty := true // only pipes and white space so far
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
			empty = false
		case '`':
			run := len(s[i:]) - len(strings.TrimLeft(s[i:], "`"))
			i += run - 1
			if n := closingBackticks(s[i+1:], run); n > 0 {
				i += n
			}
			empty = false
		case '|':
			if !empty {
				ends = append(ends, i+1)
			}
		case ' ', '\t', '\r', '\n':
		default:
			empty = false
		}
	}
	if n := len(strings.TrimRight(s, " \t\r\n")); n > 0 && (len(ends) == 0 || ends[len(ends)-1] < n) {
		ends = append(ends, n)
	}
	return ends
}

// closingBackticks returns the end offset of the first run of exactly n backticks in s, or 0.
func closingBackticks(s string, n int) int {
	for i := 0; i < len(s); i++ {
		run := len(s[i:]) - len(strings.TrimLeft(s[i:], "`"))
		if run == n {
			return i + n
		}
		i += run
	}
	return 0
}

// lineEnds returns the end offsets of the lines of s that are not blank.
func lineEnds(s string) []int {
	return segmentEnds(s, func(s string, _ int) (line, rest string, next int) {
		n := strings.IndexAny(s, "\r\n") + 1
		if n == 0 {
			n = len(s)
		}
		return s[:n], s[n:], 0
	})
}

// sentenceEnds returns the end offsets of the sentences of s. A line ending does not end a
// sentence: it counts as a space.
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

// segmentEnds returns the end offsets of the segments of s. White space at the end of a segment
// counts as part of the next one. first returns the first segment of a text, as the functions of
// uniseg do.
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
