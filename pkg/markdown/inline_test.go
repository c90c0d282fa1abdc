package markdown

import (
	"strings"
	"testing"
)

func TestPlainText(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ markup, want string }{
		{"", ""},
		{"Plain: words, no more.", "Plain: words, no more."},
		{"**Install** the [mill](https://example.invalid/mill) `v2` {#install-mill}", "Install the mill v2"},
		{`<a name="x"></a>Étape n° 2 \#hash`, "Étape n° 2 #hash"},
		{"FACV Nos 7, 8 &amp; 9", "FACV Nos 7, 8 & 9"},
		{"&#x44;&eacute;j&agrave; &unknown; \\&amp;", "Déjà &unknown; &amp;"},
		{"![logo](logo.png)", "logo"},
		{"The ![mill](data:image/png;base64," + strings.Repeat("iVBORw0KGgo+", 1000) + "==) on **the** river", "The mill on the river"},
		{"[![build](b.svg)](ci) **__both__** ~~old~~ _new_", "build both old new"},
		{"snake_case_name and 2 * 3 * 4", "snake_case_name and 2 * 3 * 4"},
		{"`a_b` ``c ` d`` `&amp; \\*`", "a_b c ` d &amp; \\*"},
		{"<https://example.invalid> <mill@example.invalid>", "https://example.invalid mill@example.invalid"},
		{"[The mill][1], [stones][] and [1.2.0]", "The mill, stones and [1.2.0]"},
		{"[1.2.0] - 2031-02-03", "[1.2.0] - 2031-02-03"},
		{"[![build](b.svg)][ci] 参见[指南][1]", "build 参见指南"},
		{"Reading a[i][j] and b[0][] of [the grid][1]", "Reading a[i][j] and b[0][] of the grid"},
		{"Grain[^1]<sup>2</sup><br>Flour<!-- x -->", "Grain2 Flour"},
		{"Set {a, b} and {}", "Set {a, b} and {}"},
		{"Set {a=b} of {.x}", "Set {a=b} of"},
		{"Pandoc {-}", "Pandoc"},
		{"kramdown {: #id .class lang='en'}", "kramdown"},
		{"Docusaurus {/* #my-id */}", "Docusaurus"},
		{"`useState` {/*usestate*/}", "useState"},
		{"two\nlines  of\ttext", "two lines of text"},
		{"- no list", "- no list"},
		{"a < b && c > d", "a < b && c > d"},
		{"\\", "\\"},
		{"[a](b", "[a](b"},
		{strings.Repeat("é", 200), strings.Repeat("é", 83) + " … " + strings.Repeat("é", 42)},
	} {
		if got := PlainText(tt.markup); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.markup, got, tt.want)
		}
	}
}

// TestPlainTextOfLongMarkup parses markup for which inline parsers are slow.
func TestPlainTextOfLongMarkup(t *testing.T) {
	t.Parallel()
	for _, unit := range []string{"*a_ ", "[", "![](", "`", "**x* ", "<a ", "&", "\\", "](", "{#"} {
		if got := PlainText(strings.Repeat(unit, 64<<10/len(unit))); len(got) > maxTitle {
			t.Errorf("%q repeated: %d bytes, want %d at most", unit, len(got), maxTitle)
		}
	}
}
