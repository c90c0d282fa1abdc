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

// outline writes the pieces of src, one a line: what begins, and the text.
func outline(t *testing.T, src string, sz sizes) []string {
	t.Helper()
	names := [...]string{"none", "paragraph", "heading", "fenced", "indented", "list", "quote", "table", "html", "break", "definition"}
	borders := [...]string{"+", "-", "part", "BLOCK"}
	var lines []string
	for _, p := range pieces(t, strings.NewReader(src), sz) {
		s := fmt.Sprintf("%s %s %q", names[p.Kind], borders[p.Border], p.Text)
		if p.Heading != nil {
			s += fmt.Sprintf(" h%d %q at %d", p.Heading.Level, p.Heading.Text, p.Heading.Start)
		}
		lines = append(lines, s)
	}
	return lines
}

// TestOutline shows what a piece tells beyond the blocks, which are compared
// with goldmark's.
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
		{"items of the outermost list only", "- a\n  - b\n\n    c\n- d\ne\n* f\n", []string{
			`list BLOCK "- a\n"`, `list - "  - b\n"`, `list - "\n"`, `list - "    c\n"`,
			`list part "- d\n"`, `list - "e\n"`,
			`list BLOCK "* f\n"`,
		}},
		{"rows", "a\nb | c\n--|--\nd\n\ne", []string{
			`paragraph BLOCK "a\n"`,
			`table BLOCK "b | c\n"`, `table - "--|--\n"`, `table part "d\n"`, `table - "\n"`,
			`paragraph BLOCK "e"`,
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
		{"a lone tag does not interrupt, even lazily", "> a\n<x>\n", []string{`quote BLOCK "> a\n"`, `quote - "<x>\n"`}},
		{"nothing after a byte order mark", "\uFEFF", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, outline(t, tt.source, defaultSizes)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestLongLines reads lines and paragraphs that are longer than what is held
// of them, here 40 and 32 bytes.
func TestLongLines(t *testing.T) {
	t.Parallel()
	words := strings.Repeat("words ", 10)
	tests := []struct {
		name, source string
		want         []string
	}{
		{"a heading", "# " + words + "\nb\n", []string{
			`heading BLOCK "# words words wo" h1 "words words words words words words wo" at 0`,
			`heading + "rds words words "`, `heading + "words wo"`,
			`heading + "rds words words "`, `heading + "words \n"`, `paragraph BLOCK "b\n"`,
		}},
		{"no break, and no heading", strings.Repeat("-", 41) + "\n=\n", []string{
			`paragraph BLOCK "----------------"`, `paragraph + "----------------"`, `paragraph + "--------"`,
			`paragraph + "-\n"`, `paragraph - "=\n"`,
		}},
		{"the end of a comment", "<!--" + strings.Repeat("x", 34) + "-->\nb\n", []string{
			`html BLOCK "<!--xxxxxxxxxxxx"`, `html + "xxxxxxxxxxxxxxxx"`, `html + "xxxxxx--"`, `html + ">\n"`,
			`paragraph BLOCK "b\n"`,
		}},
		{"a paragraph", strings.Repeat("eight..\n", 6) + "===\n|a|\n|-|\n", []string{
			`paragraph BLOCK "eight..\n"`, `paragraph - "eight..\n"`, `paragraph - "eight..\n"`,
			`paragraph - "eight..\n"`, `paragraph - "eight..\n"`, `paragraph - "eight..\n"`, `paragraph - "===\n"`,
			`table BLOCK "|a|\n"`, `table - "|-|\n"`,
		}},
		{"runes", strings.Repeat("é", 9), []string{`paragraph BLOCK "éééééééé"`, `paragraph + "é"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, outline(t, tt.source, smallSizes)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// repeater reads a text over and over.
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

// TestHugeDocuments scans 64 MiB of each of several hostile documents, and
// watches the heap. It does not run beside other tests, which use the heap too.
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
			for p, err := range Scan(io.LimitReader(&repeater{s: tt.unit}, size)) {
				if err != nil {
					t.Fatal(err)
				}
				if p.Start>>24 != p.End()>>24 { // every 16 MiB
					runtime.GC()
					runtime.ReadMemStats(&now)
					if now.HeapAlloc > before.HeapAlloc+bound {
						t.Errorf("after %d bytes the heap has grown by %d KiB", p.End(), (now.HeapAlloc-before.HeapAlloc)>>10)
					}
				}
				end = p.End()
			}
			if end != size {
				t.Errorf("the pieces end at %d", end)
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
			for _, err := range Scan(strings.NewReader(string(src))) {
				if err != nil {
					b.Fatal(err)
				}
			}
		}
	}
}
