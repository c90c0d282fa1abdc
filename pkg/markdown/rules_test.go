package markdown

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// outline returns a description of each piece of src: its kind, boundary and text.
func outline(t *testing.T, src string, opt Options) []string {
	t.Helper()
	names := [...]string{"none", "paragraph", "heading", "fenced", "indented", "list", "quote", "table", "html", "break", "definition", "module"}
	boundaries := [...]string{"+", "-", "part", "BLOCK"}
	var lines []string
	for _, p := range pieces(t, strings.NewReader(src), opt) {
		s := fmt.Sprintf("%s %s %q", names[p.Kind], boundaries[p.Boundary], p.Text)
		if p.BytesBefore > 0 {
			s += fmt.Sprintf(" from %d", p.Start-p.BytesBefore)
		}
		if p.Heading != nil {
			s += fmt.Sprintf(" h%d %q at %d", p.Heading.Level, p.Heading.Text, p.Heading.Start)
		}
		lines = append(lines, s)
	}
	return lines
}

// TestOutline checks the pieces inside blocks. Other tests compare the blocks with goldmark's.
func TestOutline(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, source string
		want         []string
	}{
		{"headings", "\n# a #b ##\n  Two\nlines\n---\n", []string{
			`none - "\n"`,
			`heading BLOCK "# a #b ##\n" h1 "a #b" at 1`,
			`heading BLOCK "  Two\n" h2 "Two lines" at 11`, `heading - "lines\n"`, `heading - "---\n"`,
		}},
		{"items of the outermost list", "- a\n  - b\n\n    c\n- d\ne\n* f\n", []string{
			`list BLOCK "- a\n"`, `list - "  - b\n"`, `list - "\n"`, `list - "    c\n"`,
			`list part "- d\n"`, `list - "e\n"`,
			`list BLOCK "* f\n"`,
		}},
		{"rows", "a\nb | c\n--|--\nd\n\ne", []string{
			`paragraph BLOCK "a\n"`,
			`table BLOCK "b | c\n"`, `table - "--|--\n"`, `table part "d\n"`, `table - "\n"`,
			`paragraph BLOCK "e"`,
		}},
		{"definitions and headings", "[a]: b\n\n# [a]\n\n## [b]\n\n[b]: c\n", []string{
			`definition BLOCK "[a]: b\n"`, `definition - "\n"`, `heading BLOCK "# [a]\n" h1 "[a]" at 8`, `heading - "\n"`,
			`heading BLOCK "## [b]\n" h2 "[b]" at 15`, `heading - "\n"`, `definition BLOCK "[b]: c\n"`,
		}},
		{"definitions", "[a]: b\n[c]: d\n'e\nf\n", []string{
			`definition BLOCK "[a]: b\n"`, `definition BLOCK "[c]: d\n"`,
			`paragraph BLOCK "'e\n"`, `paragraph - "f\n"`,
		}},
		{"line endings", "a\r\nb\rc\n\r# d", []string{
			`paragraph BLOCK "a\r\n"`, `paragraph - "b\r"`, `paragraph - "c\n"`, `paragraph - "\r"`,
			`heading BLOCK "# d" h1 "d" at 8`,
		}},
		{"an open fence", "~~~\n# a\n\n", []string{`fenced BLOCK "~~~\n"`, `fenced - "# a\n"`, `fenced - "\n"`}},
		{"a table ends where a block begins", "|a|\n|-|\n    b\n|c|\n|-|\n<x>\n", []string{
			`table BLOCK "|a|\n"`, `table - "|-|\n"`, `indented BLOCK "    b\n"`,
			`table BLOCK "|c|\n"`, `table - "|-|\n"`, `html BLOCK "<x>\n"`,
		}},
		{"a lone tag does not interrupt a lazy paragraph", "> a\n<x>\n", []string{`quote BLOCK "> a\n"`, `quote - "<x>\n"`}},
		{"only a byte order mark", "\uFEFF", nil},
		{"formulas", "$$\na\n=\nb\n$$\n\n\\[\n- c\n-\n\\]\n===\n\nd\n\\begin{x}\n\\begin{y}\n\\end{y}\n---\n\\end{x}\n", []string{
			`paragraph BLOCK "$$\n"`, `paragraph - "a\n"`, `paragraph - "=\n"`, `paragraph - "b\n"`, `paragraph - "$$\n"`, `paragraph - "\n"`,
			`heading BLOCK "\\[\n" h1 "[ - c - ]" at 13`, `heading - "- c\n"`, `heading - "-\n"`, `heading - "\\]\n"`, `heading - "===\n"`, `heading - "\n"`,
			`paragraph BLOCK "d\n"`, `paragraph - "\\begin{x}\n"`, `paragraph - "\\begin{y}\n"`, `paragraph - "\\end{y}\n"`, `paragraph - "---\n"`, `paragraph - "\\end{x}\n"`,
		}},
		{"no formulas", "$$ a $$\n===\n\n$$\n# b\n\n$$\n\nc\n===\n\nd $$\n===\n", []string{
			`heading BLOCK "$$ a $$\n" h1 "$$ a $$" at 0`, `heading - "===\n"`, `heading - "\n"`,
			`paragraph BLOCK "$$\n"`, `heading BLOCK "# b\n" h1 "b" at 16`, `heading - "\n"`,
			`paragraph BLOCK "$$\n"`, `paragraph - "\n"`,
			`heading BLOCK "c\n" h1 "c" at 25`, `heading - "===\n"`, `heading - "\n"`,
			`heading BLOCK "d $$\n" h1 "d $$" at 32`, `heading - "===\n"`,
		}},
		{"HTML headings", "<H1 align=\"center\">Quern<b>stone</b> &amp; co</H1>\n<p><img src=x></p>\n\n" +
			"<p align=center>\n  <h2\n   id='x'>\n   <img alt=\"a 'b'\" src='>'>c<br/>d\n  </h2>e\n</p>\n\n<div><h3>f</div>\n", []string{
			`html BLOCK "<H1 align=\"center\">Quern<b>stone</b> &amp; co</H1>\n" h1 "Quernstone & co" at 0`, `html - "<p><img src=x></p>\n"`, `html - "\n"`,
			`html BLOCK "<p align=center>\n"`, `html part "  <h2\n" h2 "a 'b'c d" at 90`, `html - "   id='x'>\n"`,
			`html - "   <img alt=\"a 'b'\" src='>'>c<br/>d\n"`, `html - "  </h2>e\n"`, `html - "</p>\n"`, `html - "\n"`,
			`html BLOCK "<div><h3>f</div>\n" h3 "f" at 161`,
		}},
		{"no HTML headings", "<div>\n<!-- <h1>a</h1>\n<h2>b</h2> --><h3></h3><hr><h7>c</h7>\n\n<pre>\n<h1>d</h1>\n</pre>\n- <h1>e</h1>\n\nf <h1>g</h1>\n", []string{
			`html BLOCK "<div>\n"`, `html - "<!-- <h1>a</h1>\n"`, `html - "<h2>b</h2> -->"`, `html + "<h3></h3><hr><h7>c</h7>\n"`, `html - "\n"`,
			`html BLOCK "<pre>\n"`, `html - "<h1>d</h1>\n"`, `html - "</pre>\n"`, `list BLOCK "- <h1>e</h1>\n"`, `list - "\n"`, `paragraph BLOCK "f <h1>g</h1>\n"`,
		}},
		{"import is a word in CommonMark", "import a from 'b'\n\nexport const c = {\n===\n", []string{
			`paragraph BLOCK "import a from 'b'\n"`, `paragraph - "\n"`, `heading BLOCK "export const c = {\n" h1 "export const c = {" at 19`, `heading - "===\n"`,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, outline(t, tt.source, Options{})); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestSyntaxes scans plain text and MDX.
func TestSyntaxes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		syntax Syntax
		source string
		want   []string
	}{
		{"plain text", SyntaxPlain, "---\na: b\n---\n# c\n \n\td\n===\n- e\n```\n", []string{
			`paragraph BLOCK "---\n"`, `paragraph - "a: b\n"`, `paragraph - "---\n"`, `paragraph - "# c\n"`, `paragraph - " \n"`,
			`paragraph BLOCK "\td\n"`, `paragraph - "===\n"`, `paragraph - "- e\n"`, `paragraph - "` + "```" + `\n"`,
		}},
		{"imports", SyntaxMDX, "---\na: b\n---\n\nimport Tabs from '@theme/Tabs';\nimport {\n  A,\n} from \"b\"\n\nimport * as c from 'c'\n# d\n", []string{
			`none - "\n"`, `module BLOCK "import Tabs from '@theme/Tabs';\n"`, `module - "import {\n"`, `module - "  A,\n"`, `module - "} from \"b\"\n"`, `module - "\n"`,
			`module BLOCK "import * as c from 'c'\n"`, `heading BLOCK "# d\n" h1 "d" at 95`,
		}},
		{"exports", SyntaxMDX, "export const a = {\n  b: '}',\n\n  # c: `\n\n  `, /*\n}*/ d\n\n}\nexport default ({children}) =>\n  <div>{children}</div>\n\n    e\n", []string{
			`module BLOCK "export const a = {\n"`, `module - "  b: '}',\n"`, `module - "\n"`, "module - \"  # c: `\\n\"", `module - "\n"`, "module - \"  `, /*\\n\"", `module - "}*/ d\n"`, `module - "\n"`, `module - "}\n"`,
			`module - "export default ({children}) =>\n"`, `module - "  <div>{children}</div>\n"`, `module - "\n"`, `indented BLOCK "    e\n"`,
		}},
		{"an export that never ends", SyntaxMDX, "export const a = {\n\n# b\n", []string{
			`module BLOCK "export const a = {\n"`, `module - "\n"`, `heading BLOCK "# b\n" h1 "b" at 20`,
		}},
		{"prose", SyntaxMDX, "import duties apply\n\nexport the lot\n\nImport a from 'b'\n\n import a from 'b'\n\na\nimport a from 'b'\n", []string{
			`paragraph BLOCK "import duties apply\n"`, `paragraph - "\n"`, `paragraph BLOCK "export the lot\n"`, `paragraph - "\n"`,
			`paragraph BLOCK "Import a from 'b'\n"`, `paragraph - "\n"`, `paragraph BLOCK " import a from 'b'\n"`, `paragraph - "\n"`,
			`paragraph BLOCK "a\n"`, `paragraph - "import a from 'b'\n"`,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, outline(t, tt.source, Options{Syntax: tt.syntax})); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestLongLines scans lines and paragraphs that are longer than the limit, here 32 bytes.
func TestLongLines(t *testing.T) {
	t.Parallel()
	words := strings.Repeat("words ", 10)
	tests := []struct {
		name, source string
		want         []string
	}{
		{"a heading", "# " + words + "\nb\n", []string{
			`heading BLOCK "# words " h1 "words words words words words" at 0`,
			`heading + "words wo"`, `heading + "rds word"`, `heading + "s words "`,
			`heading + "words wo"`, `heading + "rds word"`, `heading + "s words "`, `heading + "words \n"`,
			`paragraph BLOCK "b\n"`,
		}},
		{"a long line of hyphens is not a thematic break", strings.Repeat("-", 33) + "\n=\n", []string{
			`paragraph BLOCK "--------"`, `paragraph + "--------"`, `paragraph + "--------"`, `paragraph + "--------"`,
			`paragraph + "-\n"`, `heading BLOCK "=\n" from 0 h1 "---------------------------------" at 0`,
		}},
		{"a heading of one line", strings.Repeat("words.. ", 5) + "\n---\n# b\n", []string{
			`paragraph BLOCK "words.. "`, `paragraph + "words.. "`, `paragraph + "words.. "`, `paragraph + "words.. "`,
			`paragraph + "words.. "`, `paragraph + "\n"`, `heading BLOCK "---\n" from 0 h2 "words.. words.. words.. words.. words.." at 0`,
			`heading BLOCK "# b\n" h1 "b" at 45`,
		}},
		{"a heading that ends with a long line, not a table", "a\n" + strings.Repeat("|words| ", 5) + "\n|-|\n===\n", []string{
			`paragraph BLOCK "a\n"`, `paragraph - "|words| "`, `paragraph + "|words| "`, `paragraph + "|words| "`, `paragraph + "|words| "`,
			`paragraph + "|words| "`, `paragraph + "\n"`, `paragraph - "|-|\n"`,
			`heading BLOCK "===\n" from 0 h1 "a |words| |words| |words| |words| |words| |-|" at 0`,
		}},
		{"a table with a long line", "a\n| words | words \\| words | words |  \n|-|-|-|\n|b|\n\nc\n===\n", []string{
			`paragraph BLOCK "a\n"`, `paragraph - "| words "`, `paragraph + "| words "`, `paragraph + "\\| words"`, `paragraph + " | words"`,
			`paragraph + " |  \n"`, `table BLOCK "|-|-|-|\n" from 2`, `table part "|b|\n"`, `table - "\n"`,
			`heading BLOCK "c\n" h1 "c" at 52`, `heading - "===\n"`,
		}},
		{"a formula in a long line", "$$ " + strings.Repeat("words.. ", 4) + "\n===\n$$ " + strings.Repeat("words.. ", 4) + "\n===\n", []string{
			`paragraph BLOCK "$$ words"`, `paragraph + ".. words"`, `paragraph + ".. words"`, `paragraph + ".. words"`, `paragraph + ".. \n"`, `paragraph - "===\n"`,
			`paragraph - "$$ words"`, `paragraph + ".. words"`, `paragraph + ".. words"`, `paragraph + ".. words"`, `paragraph + ".. \n"`,
			`heading BLOCK "===\n" from 0 h1 "$$ words.. words.. words.. words.. === $$ words.. words.. words.. words.." at 0`,
		}},
		{"a long line is not a definition", "[a]: b\n[" + strings.Repeat("words.. ", 4) + "]: b\n===\n", []string{
			`definition BLOCK "[a]: b\n"`, `paragraph BLOCK "[words.."`, `paragraph + " words.."`, `paragraph + " words.."`, `paragraph + " words.."`,
			`paragraph + " ]: b\n"`, `heading BLOCK "===\n" from 7 h1 "[words.. words.. words.. words.. ]: b" at 7`,
		}},
		{"the end of a comment", "<!--" + strings.Repeat("x", 26) + "-->\nb\n", []string{
			`html BLOCK "<!--xxxx"`, `html + "xxxxxxxx"`, `html + "xxxxxxxx"`, `html + "xxxxxx--"`, `html + ">\n"`,
			`paragraph BLOCK "b\n"`,
		}},
		{"a paragraph", strings.Repeat("eight..\n", 6) + "===\n|a|\n|-|\n", []string{
			`paragraph BLOCK "eight..\n"`, `paragraph - "eight..\n"`, `paragraph - "eight..\n"`,
			`paragraph - "eight..\n"`, `paragraph - "eight..\n"`, `paragraph - "eight..\n"`, `heading BLOCK "===\n" from 0 h1 "eight.. eight.. eight.. eight.. eight.. eight.." at 0`,
			`table BLOCK "|a|\n"`, `table - "|-|\n"`,
		}},
		{"an HTML heading", "<h1>a\n" + strings.Repeat("eight..\n", 4) + "</h1>\n", []string{
			`html BLOCK "<h1>a\n" h1 "a eight.. eight.. eight.. eight.." at 0`, `html - "eight..\n"`, `html - "eight..\n"`,
			`html - "eight..\n"`, `html - "eight..\n"`, `html - "</h1>\n"`,
		}},
		{"HTML headings in one line", "<p>words</p><h1>words</h1><h2>words</h2><p>words</p><h3>words</h3>\n", []string{
			`html BLOCK "<p>words"`, `html + "</p>"`, `html part "<h1>word" h1 "words" at 12`, `html + "s</h1>"`,
			`html part "<h2>wo" h2 "wo" at 26`, `html + "rds</h2>"`, `html + "<p>words"`, `html + "</p>"`, `html part "<h3>word" h3 "words" at 52`,
			`html + "s</h"`, `html + "3>\n"`,
		}},
		{"runes", strings.Repeat("é", 9), []string{`paragraph BLOCK "éééé"`, `paragraph + "éééé"`, `paragraph + "é"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, outline(t, tt.source, Options{Window: 128})); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// repeater is a reader that repeats a text without end.
type repeater struct {
	s  string
	at int
}

func (r *repeater) Read(p []byte) (n int, err error) {
	for n < len(p) {
		k := copy(p[n:], r.s[r.at:])
		r.at = (r.at + k) % len(r.s)
		n += k
	}
	return n, nil
}

// TestHugeDocuments scans hostile documents of 64 MiB and measures the heap. It is not parallel,
// because other tests use the heap too.
func TestHugeDocuments(t *testing.T) {
	const size, bound = 64 << 20, 1 << 20
	for _, tt := range []struct{ name, unit string }{
		{"one line", "a line that never ends "},
		{"one comment", "<!-- - > -- "},
		{"deep quotes", strings.Repeat(">", 1<<20) + "\n"},
		{"deep lists", strings.Repeat("- ", 1<<20) + "a\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var before, now runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			begun, end := time.Now(), int64(0)
			for p, err := range Scan(io.LimitReader(&repeater{s: tt.unit}, size), Options{}) {
				if err != nil {
					t.Fatal(err)
				}
				if p.Start>>24 != p.End()>>24 { // every 16 MiB
					runtime.GC()
					runtime.ReadMemStats(&now)
					if now.HeapAlloc > before.HeapAlloc+bound {
						t.Errorf("after %d bytes the heap has grown by %d KiB, want %d KiB at most", p.End(), (now.HeapAlloc-before.HeapAlloc)>>10, bound>>10)
					}
				}
				end = p.End()
			}
			if end != size {
				t.Errorf("the pieces end at %d, want %d", end, size)
			}
			t.Logf("%d MB/s", size/max(1, time.Since(begun).Microseconds()))
		})
	}
}

// BenchmarkScan scans the corpus.
func BenchmarkScan(b *testing.B) {
	files := corpus(b)
	size := 0
	for _, src := range files {
		size += len(src)
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		for _, src := range files {
			for _, err := range Scan(strings.NewReader(string(src)), Options{}) {
				if err != nil {
					b.Fatal(err)
				}
			}
		}
	}
}
