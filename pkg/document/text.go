package document

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Maximum lengths in bytes of names that people read.
const (
	MaxTitleBytes = 512
	MaxModelBytes = 200 // of the name of a model
)

var (
	errNotUTF8 = errors.New("is not valid UTF-8")
	errNUL     = errors.New("contains a NUL character")
)

// CheckText returns an error if text is not UTF-8 or contains a NUL character: no store accepts it
// then. The error has no subject, as in "is not valid UTF-8".
func CheckText(text string) error {
	switch {
	case !utf8.ValidString(text):
		return errNotUTF8
	case strings.ContainsRune(text, 0):
		return errNUL
	default:
		return nil
	}
}

// CheckLine returns an error if text is not fit to be shown as a part of a line: if it is longer
// than maxBytes, is not UTF-8, or contains a control character or one of [IsBidiControl]. field
// names the text in the error.
func CheckLine(field, text string, maxBytes int) error {
	if len(text) > maxBytes {
		return fmt.Errorf("%s is %d bytes long; the maximum is %d", field, len(text), maxBytes)
	}
	if !utf8.ValidString(text) {
		return fmt.Errorf("%s %q %w", field, text, errNotUTF8)
	}
	if i := strings.IndexFunc(text, unicode.IsControl); i >= 0 {
		return fmt.Errorf("%s %q has a control character at byte %d", field, text, i)
	}
	if i := strings.IndexFunc(text, IsBidiControl); i >= 0 {
		r, _ := utf8.DecodeRuneInString(text[i:])
		return fmt.Errorf("%s %q has the character %U at byte %d, which changes the direction of the text after it: remove it", field, text, r, i)
	}
	return nil
}
