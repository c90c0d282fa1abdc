package document

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// maxKeyBytes bounds a key, in bytes of its normal form.
const maxKeyBytes = 1024

// NormalKey returns a key, or the beginning of one, in the form in which keys
// are stored and compared: Unicode's NFC, so that é is the same key whether it
// was typed as one character or as two, as file names of macOS have it.
func NormalKey(key string) string { return norm.NFC.String(key) }

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
	var before rune
	for i, r := range key {
		if (Invisible(r) || !unicode.IsGraphic(r)) && !(shapesEmoji(r) && isSymbol(before)) {
			return fmt.Errorf("key %q has the character %U at byte %d, which nobody sees: leave it out", key, r, i)
		}
		if !shapesEmoji(r) {
			before = r
		}
	}
	return nil
}

// shapesEmoji reports whether r chooses the form of the symbol before it, or
// joins it with the next one: ❤ with U+FE0F is ❤️, and looks different.
func shapesEmoji(r rune) bool { return r == '\ufe0e' || r == '\ufe0f' || r == '\u200d' }

func isSymbol(r rune) bool { return r != 0 && unicode.IsSymbol(r) }

// Invisible reports whether r shows nothing of itself: control and format
// characters, marks of direction, fillers, variation selectors. Spaces are not
// among them.
func Invisible(r rune) bool {
	const brailleBlank = '\u2800'                            // a symbol without a dot
	if unicode.Is(unicode.Prepended_Concatenation_Mark, r) { // format characters that are drawn
		return false
	}
	return r == brailleBlank || unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp,
		unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// TurnsText reports whether r changes the direction of what comes after it,
// beyond the text that it stands in, until another character ends that.
func TurnsText(r rune) bool {
	return '\u202a' <= r && r <= '\u202e' || '\u2066' <= r && r <= '\u2069'
}
