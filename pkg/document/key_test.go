package document

import (
	"strings"
	"testing"
)

func TestNormaliseKey(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"cafe\u0301/re\u0301sume\u0301.md", "café/résumé.md"} {
		if got, want := NormaliseKey(key), "caf\u00e9/r\u00e9sum\u00e9.md"; got != want {
			t.Errorf("NormaliseKey(%+q) = %+q, want %+q", key, got, want)
		}
	}
	// Hangul as separate letters, and the Angstrom sign, which has a code point of its own.
	for given, want := range map[string]string{"\u1112\u1161\u11ab": "\ud55c", "\u212b": "\u00c5", "plain/key": "plain/key"} {
		if got := NormaliseKey(given); got != want {
			t.Errorf("NormaliseKey(%+q) = %+q, want %+q", given, got, want)
		}
	}
}

func TestPrefixUpperBound(t *testing.T) {
	t.Parallel()
	for prefix, want := range map[string]string{
		"a/":                "a0",
		"한":                 "핝",
		"a\x7f":             "a\u0080",
		"a\ud7ff":           "a\ue000",
		"a\uffff":           "a\U00010000",
		"a\U0010ffff":       "b",
		"\U0010ffff":        strings.Repeat("\U0010ffff", 1024),
		"a\u07ff\U0010ffff": "a\u0800",
	} {
		bound := PrefixUpperBound(prefix)
		if bound != want {
			t.Errorf("PrefixUpperBound(%+q) = %+q, want %+q", prefix, bound, want)
		}
		if longest := prefix + strings.Repeat("\U0010ffff", 200); longest >= bound {
			t.Errorf("PrefixUpperBound(%+q) = %+q is not greater than %+q", prefix, bound, longest)
		}
	}
}

func TestCheckKey(t *testing.T) {
	t.Parallel()
	for _, key := range []string{
		"a.md", "guide/start.md", "Räder/mühle.md", "文書/粉.md", "مطحنة.md", "मिल.md", "Screen shot 3.14\u202fPM.md", "no\u00a0break", "全角　空白",
		"❤️.md", "⚠\ufe0f notes.md", "👩‍💻/👨🏽‍🚀.md", "🏳️‍🌈.md", "1\ufe0f\u20e3 first.md", "می\u200cخواهم.md", "क\u094d\u200dष.md", "क\u094d\u200cष.md", "a..b/...md", strings.Repeat("x", 1024),
	} {
		if err := CheckKey(NormaliseKey(key)); err != nil {
			t.Errorf("CheckKey(%+q): %v", key, err)
		}
	}
	for key, want := range map[string]string{
		"":                        "missing",
		"../a":                    `".."`,
		"a/./b":                   `"."`,
		"a/..":                    `".."`,
		strings.Repeat("x", 1025): "1025 bytes",
		"a\xff":                   "not UTF-8",
		"a\x00":                   "U+0000 at byte 1",
		"a\nb":                    "U+000A at byte 1",
		"a\tb":                    "U+0009",
		"a\u0085":                 "U+0085",
		"a\u200bb":                "U+200B at byte 1",
		"a\u200db":                "U+200D", // no symbols to join
		"\u200d":                  "U+200D",
		"a\u200cb":                "U+200C", // no letters to separate
		"می\u200c":                "U+200C",
		"می\u200c\u200cخواهم":     "U+200C",
		"1\ufe0f.md":              "U+FE0F",
		"❤\ufe0f\ufe0f":           "U+FE0F",
		"a\ufe0fb":                "U+FE0F",
		"ab\u2060":                "U+2060 at byte 2",
		"\ufeffa":                 "U+FEFF at byte 0",
		"soft\u00adhyphen":        "U+00AD",
		"a\u200e":                 "U+200E",
		"a\u061c":                 "U+061C",
		"evil\u202egnp.md":        "U+202E at byte 4",
		"a\u2066b\u2069":          "U+2066",
		"a\u2028b":                "U+2028",
		"a\u2029b":                "U+2029",
		"\u3164":                  "U+3164",
		"a\uffa0":                 "U+FFA0",
		"a\u115f":                 "U+115F",
		"a\u034fb":                "U+034F",
		"a\u180eb":                "U+180E",
		"a\u2800b":                "U+2800",
		"a\U000e0041":             "U+E0041",
		"a\U000e0100":             "U+E0100",
		"a\ue000":                 "U+E000",
		"a\U000f0000":             "U+F0000",
		"a\u0378":                 "U+0378", // unassigned
		"a\ufdd0":                 "U+FDD0", // never a character
		"❤\ufe0f\u202ea":          "U+202E",
	} {
		if err := CheckKey(NormaliseKey(key)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("CheckKey(%+q): %v, want an error with %q", key, err, want)
		}
	}
}

func TestIsInvisible(t *testing.T) {
	t.Parallel()
	for _, r := range "\x00\x07\x1b\u00ad\u034f\u061c\u115f\u1160\u17b4\u180b\u180e\u200b\u200c\u200d\u200e\u202d\u2060\u2063\u2066\u2800\u3164\ufe0f\ufeff\uffa0\ufff9\U0001d173\U000e0001\U000e01ef" {
		if !IsInvisible(r) {
			t.Errorf("IsInvisible(%U) = false", r)
		}
	}
	for _, r := range "a1.-+é文ا\u0600\u06dd\u0301☺\ue000\u0378" { // private use and unassigned ones may be drawn
		if IsInvisible(r) {
			t.Errorf("IsInvisible(%U) = true", r)
		}
	}
}
