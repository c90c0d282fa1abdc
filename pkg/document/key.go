package document

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// MaxKeyBytes is the maximum length of a normalised key, in bytes.
const MaxKeyBytes = 1024

// NormaliseKey returns a key, or a prefix of one, in the form in which keys are stored and
// compared: Unicode NFC. So é is the same key whether it is one character or two, as in file names
// of macOS.
func NormaliseKey(key string) string { return norm.NFC.String(key) }

// CheckKey returns an error if a normalised key is not valid. A key names a document in paths, in
// URLs and on the screen, so characters that are not visible are refused: keys that look the same
// are the same.
func CheckKey(key string) error {
	switch {
	case key == "":
		return fmt.Errorf("key is missing: name the document, for example guide/start.md")
	case len(key) > MaxKeyBytes:
		return fmt.Errorf("key is %d bytes long; the limit is %d bytes", len(key), MaxKeyBytes)
	case !utf8.ValidString(key):
		return fmt.Errorf("key %q is not UTF-8", key)
	}
	for segment := range strings.SplitSeq(key, "/") {
		if segment == ".." || segment == "." {
			return fmt.Errorf("key %q: a segment must not be %q", key, segment)
		}
	}
	var last, lastVisible rune
	for i, r := range key {
		visible := !IsInvisible(r) && unicode.IsGraphic(r)
		after, _ := utf8.DecodeRuneInString(key[i+utf8.RuneLen(r):])
		if !visible && (r == last || !changesShape(lastVisible, r, after)) {
			return fmt.Errorf("key %q has the character %U at byte %d, which is not visible: remove it", key, r, i)
		}
		last = r
		if visible {
			lastVisible = r
		}
	}
	return nil
}

// PrefixUpperBound returns the smallest string, in byte order, that is greater than every key with
// the prefix.
func PrefixUpperBound(prefix string) string {
	runes := []rune(prefix)
	for i, r := range slices.Backward(runes) {
		switch r {
		case unicode.MaxRune: // has no successor
			continue
		case '\ud7ff': // skip the surrogates, which are not characters
			r = '\ue000'
		default:
			r++
		}
		return string(append(runes[:i], r))
	}
	return strings.Repeat(string(unicode.MaxRune), MaxKeyBytes) // longer than a key
}

// changesShape reports whether the invisible character r changes how its neighbours are drawn, so
// that a key without it looks different. before is the last visible character.
func changesShape(before, r, after rune) bool {
	switch r {
	case '\ufe0e', '\ufe0f': // select the form of a symbol, as in ❤️, or of a keycap, as in 1️⃣
		return unicode.IsSymbol(before) || after == '\u20e3'
	case '\u200d': // joins symbols into one; changes the form of Indic letters
		return unicode.IsSymbol(before) || isVirama(before)
	case '\u200c': // changes the form of Indic letters; separates letters in Persian words
		return isVirama(before) || isCursive(before) && isCursive(after)
	default:
		return false
	}
}

// isVirama reports whether r is the sign that removes the vowel of an Indic letter.
func isVirama(r rune) bool {
	const virama = 9 // its canonical combining class
	return norm.NFC.PropertiesString(string(r)).CCC() == virama
}

// isCursive reports whether r is a letter of a script that joins its letters.
func isCursive(r rune) bool {
	return unicode.In(r, unicode.Arabic, unicode.Syriac, unicode.Nko, unicode.Mandaic, unicode.Mongolian, unicode.Adlam)
}

// IsInvisible reports whether r has no visible form of its own: control and format characters,
// marks of direction, fillers, variation selectors. Spaces are not invisible.
func IsInvisible(r rune) bool {
	const brailleBlank = '\u2800'                            // a symbol without dots
	if unicode.Is(unicode.Prepended_Concatenation_Mark, r) { // format characters that are drawn
		return false
	}
	return r == brailleBlank || unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp,
		unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// IsBidiControl reports whether r sets the direction of the text after it until another character
// ends that. Its effect can reach beyond the string that contains r.
func IsBidiControl(r rune) bool {
	return '\u202a' <= r && r <= '\u202e' || '\u2066' <= r && r <= '\u2069'
}
