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

	// pair is the last rune of the word before and the first of this one, when
	// nothing stands between them. That happens in scripts written without
	// spaces, where segmentation without a dictionary yields single
	// characters, and two of them say more than one.
	pair string
}

// normalise makes texts that look alike equal: compatibility composition and
// lower case. What is not UTF-8 is replaced.
func normalise(text string) string {
	text = strings.ToValidUTF8(text, string(utf8.RuneError))
	return norm.NFKC.String(strings.ToLower(norm.NFKC.String(text)))
}

// words yields the words of a normalised text by the rules of Unicode
// segmentation (UAX 29). What holds neither a letter nor a digit is no word.
func words(text string) iter.Seq[word] {
	return func(yield func(word) bool) {
		rest, state := text, -1
		offset := 0    // of rest in text
		lastRune := -1 // offset of the last letter of the word before, if it ends at offset
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

// lastLetter returns the offset of the last rune of a word that is not a
// combining mark.
func lastLetter(word string) int {
	return max(0, strings.LastIndexFunc(word, func(r rune) bool { return !unicode.IsMark(r) }))
}

func isWordRune(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// isSyllabic reports whether a rune of the script says as much as a syllable or
// more, so that two of them are already a telling part of a word.
func isSyllabic(r rune) bool {
	return r >= 0x1100 && unicode.In(r, unicode.Hangul, unicode.Han, unicode.Hiragana, unicode.Katakana)
}

// wordWeight says how much a word may be expected to tell, knowing nothing of how
// rare it is: long words tell more than short ones.
func wordWeight(text string) int64 {
	runes := int64(utf8.RuneCountInString(text))
	if r, _ := utf8.DecodeRuneInString(text); isSyllabic(r) {
		runes *= 2
	}
	return min(runes, 6) + 2
}
