package knowledge_test

import (
	"strings"
	"testing"
)

// A new title costs one new embedding of each passage that is embedded with it, and nothing for
// passages whose heading path begins with it.
func TestCostOfANewTitle(t *testing.T) {
	t.Parallel()
	text := sampleDocument("Wheat", 10) // ten headings, and a passage under each
	for title, want := range map[string]int{"": 0, "Wheat 3": 9, "All about wheat": 10} {
		step, m, e := newStep(t)
		before := m.addObject(text)
		before.Space.Chunking.Tokens = 64
		if err := step.Run(t.Context(), before); err != nil {
			t.Fatal(err)
		}
		sentBefore := len(e.sent)
		for range 2 {
			titled := m.addObject(text)
			titled.Space.Chunking.Tokens = 64
			titled.Title = title
			if err := step.Run(t.Context(), titled); err != nil {
				t.Fatal(err)
			}
		}
		if got := len(e.sent) - sentBefore; sentBefore != 10 || got != want || len(e.sentTwice()) > 0 {
			t.Errorf("title %q: sent %d texts before it and %d for it, want 10 and %d, each once", title, sentBefore, got, want)
		}
		for sent := range e.sent {
			if title != "" && strings.HasPrefix(sent, title+" > "+title) {
				t.Errorf("title %q is in %q twice", title, sent)
			}
		}
	}
}

// The splitter gets the media type and the key.
func TestMediaTypeAndKeySelectTheSyntax(t *testing.T) {
	t.Parallel()
	const text = "import A from 'a'\n\n# Heading\n\nText.\n"
	for _, test := range []struct {
		mediaType, key string
		heading        bool
		imported       bool
	}{
		{"text/markdown", "a.md", true, true},
		{"text/plain", "a.md", false, true},
		{"text/markdown", "a.mdx", true, false},
	} {
		step, m, e := newStep(t)
		work := m.addObject(text)
		work.MediaType, work.Key = test.mediaType, test.key
		if err := step.Run(t.Context(), work); err != nil {
			t.Fatal(err)
		}
		all := ""
		for sent := range e.sent {
			all += sent + "\n"
		}
		if heading := strings.Contains(all, "Heading\n\n# Heading"); heading != test.heading {
			t.Errorf("%s, %s: embedded under its heading: %v, want %v: %q", test.mediaType, test.key, heading, test.heading, all)
		}
		if imported := strings.Contains(all, "import A"); imported != test.imported {
			t.Errorf("%s, %s: import is embedded: %v, want %v: %q", test.mediaType, test.key, imported, test.imported, all)
		}
	}
}
