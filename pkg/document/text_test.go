package document

import (
	"strings"
	"testing"
)

func TestCheckText(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "grain", "Körner\n\t", "\u202e", "\ufffd"} {
		if err := CheckText(text); err != nil {
			t.Errorf("CheckText(%+q): %v", text, err)
		}
	}
	for text, want := range map[string]string{"a\xff": "is not valid UTF-8", "\xed\xa0\x80": "is not valid UTF-8", "a\x00b": "contains a NUL character"} {
		if err := CheckText(text); err == nil || err.Error() != want {
			t.Errorf("CheckText(%+q): %v, want %q", text, err, want)
		}
	}
}

func TestCheckLine(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "Mills", "Mühlen und Körner", "مطحنة", "\u200e", strings.Repeat("x", 40)} {
		if err := CheckLine("title", text, 40); err != nil {
			t.Errorf("CheckLine(%+q): %v", text, err)
		}
	}
	for text, want := range map[string]string{
		strings.Repeat("ü", 21): "title is 42 bytes long; the maximum is 40",
		"a\xff":                 `title "a\xff" is not valid UTF-8`,
		"a\x00":                 "control character at byte 1",
		"ab\n":                  "control character at byte 2",
		"\u0085":                "control character at byte 0",
		"a\u202eb":              "U+202E at byte 1",
		"ü\u2066":               "U+2066 at byte 2",
	} {
		if err := CheckLine("title", text, 40); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("CheckLine(%+q): %v, want an error with %q", text, err, want)
		}
	}
}

func TestCheckCollectionName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{DefaultCollection, "a", "0", "Docs.v2_old-new", strings.Repeat("c", 128)} {
		if err := CheckCollectionName(name); err != nil {
			t.Errorf("CheckCollectionName(%q): %v", name, err)
		}
	}
	for _, name := range []string{"", ".a", "-", "_", "a b", "a/b", "ü", "a\n", "a\x00", "\xff", strings.Repeat("c", 129)} {
		if err := CheckCollectionName(name); err == nil || !strings.Contains(err.Error(), "want 1 to 128 letters") {
			t.Errorf("CheckCollectionName(%q): %v, want an error that says what is allowed", name, err)
		}
	}
}
