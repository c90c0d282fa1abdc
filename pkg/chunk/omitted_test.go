package chunk

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/seed-7a112592/gristmill/pkg/markdown"
)

const base64Text = "iVBORw0KGgo+/AAA"

// TestPayloads checks that the base64 of data: URIs is omitted, and nothing else.
func TestPayloads(t *testing.T) {
	t.Parallel()
	payload := strings.Repeat(base64Text, 4)
	for _, tt := range []struct{ name, before, payload, after string }{
		{"image", "![tool](data:image/png;base64,", payload, ")"},
		{"URL-safe, percent-encoded, padded", "[a](DATA:application/pdf;name=a.pdf;BASE64,", "iVB-_w%2B%2F" + payload + "==", " \"title\")"},
		{"attribute", "<img alt=x src='data:image/gif;charset=utf-8;base64,", payload, "'> and text"},
		{"style sheet", "<style>a { background: url(data:;base64,", payload, ") }</style>"},
		{"JSON", "```json\n{\"a\": \"data:image\\/png;base64,", "iVBO\\/w" + payload, "\"}\n```"},
		{"wrapped", "<img src=\"data:image/png;base64,", payload + "\n  " + payload + "\n  iVBO", "\">\nwords"},
		{"definition", "[logo]: data:image/svg+xml;base64,", payload, "\n\nwords"},
		{"no data", "a string of base64,", "", payload},
		{"no base64", "data:image/svg+xml;utf8,", "", "%3Csvg%3E64,abc"},
		{"a certificate", "", "", "-----BEGIN-----\n" + payload + "\n" + payload + "\n-----END-----"},
		{"words on the next line", "data:;base64,", payload, "\nHello\nworld"},
	} {
		all := split(t, tt.before+tt.payload+tt.after, Options{})
		if len(all) != 1 {
			t.Errorf("%s: %d passages, want 1", tt.name, len(all))
			continue
		}
		want := tt.before + strings.Map(func(r rune) rune {
			if r == '\n' || r == ' ' {
				return r
			}
			return -1
		}, tt.payload) + tt.after
		if diff := cmp.Diff(want, all[0].VisibleContent()); diff != "" {
			t.Errorf("%s (-want +got)\n%s", tt.name, diff)
		}
	}
}

// TestPicture splits text with an embedded picture of 30 KB.
func TestPicture(t *testing.T) {
	t.Parallel()
	for _, before := range []string{"", strings.Repeat("Dress the stones each spring. ", 40)} {
		src := "# Dressing\n\n" + before + "![tool](data:image/png;base64," + strings.Repeat(base64Text, 2500) + ")\n\nHold it flat.\n"
		all := split(t, src, Options{})
		if len(all) > 3 {
			t.Errorf("%d passages, want 3 at most", len(all))
		}
		for _, p := range all {
			if strings.Contains(p.EmbeddingInput(), base64Text) {
				t.Errorf("passage %d embeds the picture: %q", p.Ordinal, p.EmbeddingInput())
			}
		}
	}
}

// TestHugePicture splits a picture that is too large for one passage. Each of its passages must
// have a text to embed and a hash of its own.
func TestHugePicture(t *testing.T) {
	t.Parallel()
	var src strings.Builder
	src.WriteString("# A\n\nWords before. ![tool](data:image/png;base64,")
	for i := range 20000 {
		fmt.Fprintf(&src, "%016d", i)
	}
	src.WriteString(") Words behind.\n\nMore words.\n")
	for _, window := range []int{0, 250} {
		all := split(t, src.String(), Options{Window: window, Tokens: 50})
		if n, bound := len(all), src.Len()/maxOmitted+3; n > bound {
			t.Errorf("window %d: %d passages, want %d at most", window, n, bound)
		}
		hashes := map[string]bool{}
		for _, p := range all {
			hashes[fmt.Sprint(p.ContentHash())] = true
			if strings.Contains(p.EmbeddingInput(), "0000") || strings.TrimSpace(p.VisibleContent()) == "" {
				t.Errorf("window %d: passage %d embeds %q, want text without the picture", window, p.Ordinal, p.EmbeddingInput())
			}
		}
		if len(hashes) != len(all) {
			t.Errorf("window %d: %d passages have %d different hashes", window, len(all), len(hashes))
		}
	}
}

func TestModules(t *testing.T) {
	t.Parallel()
	src := "import Tabs from '@theme/Tabs';\nimport {Note} from '../Note';\n\nexport const rpm = {\n  a: 1,\n\n  b: 2,\n};\n\n# Crank\n\nNever exceed {rpm.a} turns.\n\nexport default Layout\n"
	all := split(t, src, Options{Syntax: markdown.SyntaxMDX, Title: "Crank"})
	if len(all) != 1 || all[0].Start != 0 {
		t.Fatalf("got %+v", all)
	}
	if got, want := strings.TrimSpace(all[0].EmbeddingInput()), "Crank\n\n# Crank\n\nNever exceed {rpm.a} turns."; got != want {
		t.Errorf("embedded %q, want %q", got, want)
	}
	all = split(t, src, Options{Title: "Crank"})
	if !strings.Contains(all[0].EmbeddingInput(), "import Tabs") {
		t.Errorf("a document that is not MDX has lost its first lines: %q", all[0].EmbeddingInput())
	}
	all = split(t, "import a from 'b'\n", Options{Syntax: markdown.SyntaxMDX})
	if len(all) != 1 || all[0].EmbeddingInput() != "…" {
		t.Errorf("a document of one import: got %+v, want one passage that embeds …", all)
	}
}

// TestWrappedPicture splits a picture whose base64 is wrapped into lines, as in mail, into passages
// of several sizes. Only the line endings of the picture may be embedded.
func TestWrappedPicture(t *testing.T) {
	t.Parallel()
	line := strings.Repeat(base64Text, 5)[:76] + "\n"
	for _, lines := range []int{2, 30, 700} {
		for _, tokens := range []int{1, 2, 3, 10, 20, 260} {
			for _, overlap := range []int{0, tokens / 3} {
				src := "# Dressing\n\n![tool](data:image/png;base64," + strings.TrimSpace(strings.Repeat(line, lines)) + ")\n\nHold it flat.\n"
				for _, p := range split(t, src, Options{Tokens: tokens, Overlap: overlap}) {
					if strings.Contains(p.EmbeddingInput(), base64Text) {
						t.Errorf("%d lines, %d tokens: passage %d embeds the picture: %q", lines, tokens, p.Ordinal, p.EmbeddingInput())
					}
				}
			}
		}
	}
}
