package chunk

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/pkg/markdown"
)

// TestLongHeading splits headings that are longer than the window, in one line and in several. The
// text after the underline must be under the heading.
func TestLongHeading(t *testing.T) {
	t.Parallel()
	for name, unit := range map[string]string{"one line": "words without an end ", "many lines": "words without an end\n"} {
		for level, mark := range map[int]string{1: "===", 2: "---"} {
			heading := strings.Repeat(unit, 4000)
			body := "# A\n\na\n\n" + heading + "\n" + mark
			if strings.HasSuffix(unit, "\n") {
				body = "# A\n\na\n\n" + heading + mark
			}
			all := split(t, body+"\n\nText below.\n", Options{Tokens: 120})
			want := []markdown.Heading{{Level: level, Text: markdown.PlainText(heading), Start: 8}}
			if level == 2 {
				want = append([]markdown.Heading{{Level: 1, Text: "A"}}, want...)
			}
			last := all[len(all)-1]
			if diff := cmp.Diff(want, last.Headings); diff != "" {
				t.Errorf("%s before %s (-want +got)\n%s", name, mark, diff)
			}
			if last.Content != mark+"\n\nText below." {
				t.Errorf("%s before %s: the last passage is %q", name, mark, last.Content)
			}
		}
	}
}

// TestLongHeaderRow splits a table whose header row is longer than the window. Rows must be split
// between cells, and no passage may repeat a part of the header as context.
func TestLongHeaderRow(t *testing.T) {
	t.Parallel()
	row := "|" + strings.Repeat(" two words |", 7000) + "\n"
	src := "Before it.\n" + row + "|" + strings.Repeat("-|", 7000) + "\n" + row
	for _, p := range split(t, src, Options{Tokens: 100}) {
		if cell := strings.TrimRight(p.Content, " \n"); strings.Contains(cell, "two") && !strings.HasSuffix(cell, "|") || strings.HasPrefix(cell, "words") {
			t.Errorf("passage %d begins or ends inside a cell: %q", p.Ordinal, p.Content)
		}
		if p.Context != "" {
			t.Errorf("passage %d has the context %q, want none", p.Ordinal, p.Context)
		}
	}
}
