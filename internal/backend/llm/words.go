package llm

import (
	"iter"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"
	"golang.org/x/text/unicode/norm"
)

// word is a word of a normalised text.
type word struct {
	text string

	// pair is the last rune of the previous word and the first rune of this one, if nothing
	// separates them. That happens in scripts without spaces, where segmentation without a
	// dictionary yields single characters; a pair says more than one character.
	pair string
}

// normalise makes texts that look alike equal, by compatibility composition and lower case. It
// replaces invalid UTF-8.
func normalise(text string) string {
	text = strings.ToValidUTF8(text, string(utf8.RuneError))
	return norm.NFKC.String(strings.ToLower(norm.NFKC.String(text)))
}

// words yields the words of a normalised text by the rules of Unicode segmentation (UAX 29). A
// segment without letters and digits is not a word.
func words(text string) iter.Seq[word] {
	return func(yield func(word) bool) {
		rest, state := text, -1
		offset := 0    // of rest in text
		lastRune := -1 // offset of the last letter of the previous word, if that word ends at offset
		for len(rest) > 0 {
			var segment string
			segment, rest, state = uniseg.FirstWordInString(rest, state)
			start := offset
			offset += len(segment)
			if strings.IndexFunc(segment, isWordRune) < 0 {
				lastRune = -1
				continue
			}
			w := word{text: segment}
			if lastRune >= 0 {
				_, first := utf8.DecodeRuneInString(segment)
				w.pair = text[lastRune : start+first]
			}
			if !yield(w) {
				return
			}
			lastRune = start + lastLetter(segment)
		}
	}
}

// lastLetter returns the offset of the last rune of a word that is not a combining mark.
func lastLetter(word string) int {
	return max(0, strings.LastIndexFunc(word, func(r rune) bool { return !unicode.IsMark(r) }))
}

func isWordRune(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// isSyllabic reports whether a rune of the script says as much as a syllable or more, so that two
// of them are already a significant part of a word.
func isSyllabic(r rune) bool {
	return r >= 0x1100 && unicode.In(r, unicode.Hangul, unicode.Han, unicode.Hiragana, unicode.Katakana)
}

// wordWeight estimates how much a word says, without knowing how rare it is: long words say more
// than short ones.
func wordWeight(text string) int64 {
	runes := int64(utf8.RuneCountInString(text))
	if r, _ := utf8.DecodeRuneInString(text); isSyllabic(r) {
		runes *= 2
	}
	return min(runes, 6) + 2
}
