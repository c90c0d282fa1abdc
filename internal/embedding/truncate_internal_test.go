package embedding

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestTruncationPoint(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text string
		n    int
		want string
	}{
		{"grain and flour", 100, "grain and flour"},
		{"grain and flour", 11, "grain and"}, // the end of a word
		{"grain and flour", 9, "grain and"},
		{"grainandflour", 7, "grainan"}, // no word in the last quarter
		{"Mühle", 2, "M"},               // within the bytes of one character
		{"cafe\u0301s", 4, "caf"},       // a combining accent
		{"磨坊磨麦子", 8, "磨坊"},
		{"ok👩\u200d👩\u200d👧x", 9, "ok"}, // an emoji of several characters
		{"ok❤\ufe0fx", 5, "ok"},         // a variation selector
		{"\xff\xff\xff", 2, ""},
		{"grain", 0, ""},
		{"grain", -5, ""},
	} {
		if got := test.text[:truncationPoint(test.text, test.n)]; got != test.want {
			t.Errorf("%q at %d: %q, want %q", test.text, test.n, got, test.want)
		}
	}
}

func FuzzTruncationPoint(f *testing.F) {
	f.Add("grain and flour", 7)
	f.Add("👩\u200d👩\u200d👧", 9)
	f.Fuzz(func(t *testing.T, text string, n int) {
		text = strings.ToValidUTF8(text, "")
		at := truncationPoint(text, n)
		if at < 0 || at > len(text) || n >= 0 && at > n || !utf8.ValidString(text[:at]) {
			t.Errorf("%q at %d: %d", text, n, at)
		}
	})
}
