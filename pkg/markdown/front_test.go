package markdown

import (
	"strings"
	"testing"
)

func TestFrontMatter(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, head, yaml string
		body             int
	}{
		{"none", "# a\n", "", 0},
		{"a mapping", "---\na: b\n---\nc\n", "a: b\n", 13},
		{"closed by dots, Windows line endings", "---\r\na: b\r\n...\r\nc\r\n", "a: b\r\n", 16},
		{"behind a byte order mark", "\uFEFF---\na: b\n---\n", "a: b\n", 16},
		{"all that YAML may be", "--- \n# why\n\n\"a\": |\n  b\n\n  c\nd:\n- e\n- f: {\n}\n---\t\n", "# why\n\n\"a\": |\n  b\n\n  c\nd:\n- e\n- f: {\n}\n", 49},
		{"up to the last byte", "---\na: b\n---", "a: b\n", 12},
		{"a byte order mark alone", "\uFEFF", "", 3},
		{"never closed", "---\na: b\n", "", 0},
		{"empty", "---\n---\n", "", 0},
		{"a thematic break and a heading", "---\nfoo\n---\n", "", 0},
		{"a thematic break and a paragraph", "---\nNote: this\nis a paragraph\n---\n", "", 0},
		{"not at the first byte", "\n---\na: b\n---\n", "", 0},
		{"four dashes", "----\na: b\n----\n", "", 0},
		{"too long", "---\na: |\n" + strings.Repeat("  b\n", HeadSize/4) + "---\n", "", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			yaml, body := FrontMatter([]byte(tt.head))
			if string(yaml) != tt.yaml || body != tt.body || (yaml == nil) != (tt.yaml == "") {
				t.Errorf("got %q and %d, want %q and %d", yaml, body, tt.yaml, tt.body)
			}
		})
	}
}

func TestFirstHeading(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ head, want string }{
		{"", ""},
		{"text\n", ""},
		{"---\ntitle: no\n---\n\n> # no\n\n```\n# no\n```\n#\n\n## Yes `sir` ##\n# no\n", "Yes sir"},
		{"\uFEFFA title\n of two lines\n===\n", "A title of two lines"},
		{"# " + strings.Repeat("é", 200), strings.Repeat("é", 83) + " … " + strings.Repeat("é", 42)},
	} {
		if got := FirstHeading([]byte(tt.head), CommonMark); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.head, got, tt.want)
		}
	}
}
