package document

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// maxKeyBytes bounds a key, in bytes of its normal form.
const maxKeyBytes = 1024

// NormaliseKey returns a key, or the beginning of one, in the form in which keys
// are stored and compared: Unicode's NFC, so that é is the same key whether it
// was typed as one character or as two, as file names of macOS have it.
func NormaliseKey(key string) string { return norm.NFC.String(key) }

// CheckKey says what keeps a key in its normal form from being one. A key names
// a document in a path, in an address and to the eye: two keys that look the
// same are the same.
func CheckKey(key string) error {
	switch {
	case key == "":
		return fmt.Errorf("key is missing: say under which key to keep the document, such as guide/start.md")
	case len(key) > maxKeyBytes:
		return fmt.Errorf("key is %d bytes long; at most %d are taken", len(key), maxKeyBytes)
	case !utf8.ValidString(key):
		return fmt.Errorf("key %q is not UTF-8", key)
	}
	for segment := range strings.SplitSeq(key, "/") {
		if segment == ".." || segment == "." {
			return fmt.Errorf("key %q: a segment must not be %q", key, segment)
		}
	}
	var last, before rune // before is the last one that is seen
	for i, r := range key {
		seen := !IsInvisible(r) && unicode.IsGraphic(r)
		after, _ := utf8.DecodeRuneInString(key[i+utf8.RuneLen(r):])
		if !seen && (r == last || !changesShape(before, r, after)) {
			return fmt.Errorf("key %q has the character %U at byte %d, which nobody sees: leave it out", key, r, i)
		}
		last = r
		if seen {
			before = r
		}
	}
	return nil
}

// PrefixUpperBound returns the least text, bytewise, that comes after every key that
// begins with a prefix.
func PrefixUpperBound(prefix string) string {
	runes := []rune(prefix)
	for i, r := range slices.Backward(runes) {
		switch r {
		case unicode.MaxRune: // has no next
			continue
		case '\ud7ff': // surrogates are no characters
			r = '\ue000'
		default:
			r++
		}
		return string(append(runes[:i], r))
	}
	return strings.Repeat(string(unicode.MaxRune), maxKeyBytes) // longer than a key
}

// changesShape reports whether r, of which nothing is seen, changes how the characters
// before and after it are drawn, so that a key looks different without it.
func changesShape(before, r, after rune) bool {
	switch r {
	case '\ufe0e', '\ufe0f': // the form of a symbol, as in ❤️, or of a keycap, as in 1️⃣
		return unicode.IsSymbol(before) || after == '\u20e3'
	case '\u200d': // symbols joined into one; the form of Indic letters
		return unicode.IsSymbol(before) || isVirama(before)
	case '\u200c': // the form of Indic letters; letters kept apart, as Persian writes many words
		return isVirama(before) || isCursive(before) && isCursive(after)
	default:
		return false
	}
}

// isVirama reports whether r is the sign that takes the vowel from an Indic
// letter.
func isVirama(r rune) bool {
	const virama = 9 // its canonical combining class
	return norm.NFC.PropertiesString(string(r)).CCC() == virama
}

// isCursive reports whether r is of a script whose letters are joined.
func isCursive(r rune) bool {
	return unicode.In(r, unicode.Arabic, unicode.Syriac, unicode.Nko, unicode.Mandaic, unicode.Mongolian, unicode.Adlam)
}

// IsInvisible reports whether r shows nothing of itself: control and format
// characters, marks of direction, fillers, variation selectors. Spaces are not
// among them.
func IsInvisible(r rune) bool {
	const brailleBlank = '\u2800'                            // a symbol without a dot
	if unicode.Is(unicode.Prepended_Concatenation_Mark, r) { // format characters that are drawn
		return false
	}
	return r == brailleBlank || unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp,
		unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// IsBidiControl reports whether r changes the direction of what comes after it,
// beyond the text that it stands in, until another character ends that.
func IsBidiControl(r rune) bool {
	return '\u202a' <= r && r <= '\u202e' || '\u2066' <= r && r <= '\u2069'
}
