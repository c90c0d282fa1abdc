package chunk

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/seed-7a112592/gristmill/pkg/markdown"
)

// rows returns n lines; row returns the text of line i.
func rows(n int, row func(i int) string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(row(i) + "\n")
	}
	return b.String()
}

// TestRecordsAreNotSplit splits texts whose lines are records with several sentences, in both
// syntaxes. Passages must end at the ends of lines.
func TestRecordsAreNotSplit(t *testing.T) {
	t.Parallel()
	for name, src := range map[string]string{
		"log": rows(99, func(i int) string {
			return fmt.Sprintf("2031-04-01 10:%02d:00 WARN mill[%d] Gap is out of range. Sensor S-%04d failed. Retry in 5 s.", i%60, i, i)
		}),
		"log of a host": rows(99, func(i int) string {
			return fmt.Sprintf("mill-%02d stones: it stopped turning. The reason is not known. See page %04d", i, i)
		}),
		"CSV":       rows(99, func(i int) string { return fmt.Sprintf("qx-%d;stone;%d.50;It is hard. Handle with care.", i, i) }),
		"TSV":       rows(99, func(i int) string { return fmt.Sprintf("stone %d\tis hard. mind it\t%d", i, i*i) }),
		"addresses": rows(40, func(i int) string { return fmt.Sprintf("Dr. A. Miller\n%d St. James St.\nBath BA1 2AB\nU. K.", i) }),
		"subtitles": rows(40, func(i int) string {
			return fmt.Sprintf("%d\n00:00:%02d,000 --> 00:00:%02d,500\nWell. Who knows? Not me.", i, i, i)
		}),
		"poem": rows(40, func(i int) string {
			return "The wheel goes round. It stops.\nand then\nit turns again. Forever it turns, says she"
		}),
		"settings":         rows(99, func(i int) string { return fmt.Sprintf("stone.%d.gap=%d mm. never more.", i, i*i) }),
		"settings, spaced": rows(99, func(i int) string { return fmt.Sprintf("gap%s = %d mm. it never is more", strings.Repeat("x", i%7), i) }),
		"stack trace":      rows(99, func(i int) string { return fmt.Sprintf("\tat org.mill.Stone.turn(Stone.java:%d)", i) }),
		"JSON lines":       rows(99, func(i int) string { return fmt.Sprintf(`{"sku": %d, "note": "Hard. Heavy. Handle with care."}`, i) }),
		"Chinese":          rows(99, func(i int) string { return fmt.Sprintf("%d 号磨石。很硬。小心。", i) }),
	} {
		for _, syntax := range []markdown.Syntax{markdown.SyntaxCommonMark, markdown.SyntaxPlain} {
			for _, overlap := range []int{0, 40} {
				lines := map[string]bool{}
				for line := range strings.Lines(src) {
					lines[strings.TrimSpace(line)] = true
				}
				for _, p := range split(t, src, Options{Tokens: 120, Overlap: overlap, Syntax: syntax}) {
					for line := range strings.Lines(p.Content) {
						if !lines[strings.TrimSpace(line)] {
							t.Errorf("%s, syntax %d, overlap %d: passage %d has only a part of a line: %q", name, syntax, overlap, p.Ordinal, line)
						}
					}
				}
			}
		}
	}
}

// TestWrappedProseIsSplitBetweenSentences splits prose that is wrapped at 80 columns.
func TestWrappedProseIsSplitBetweenSentences(t *testing.T) {
	t.Parallel()
	for name, prose := range map[string]string{
		"English": "The stones must not touch, or they wear. A miller who hears them touch stops the wheel at once and lifts the runner. After that he dresses both stones, which takes him a day and a half, and grinds bran to clean them. ",
		"German":  "Die Steine dürfen sich nicht berühren, sonst nutzen sie sich ab. Ein Müller, der hört, wie sie sich berühren, hält das Rad sofort an und hebt den Läufer. Danach schärft er beide Steine, was anderthalb Tage dauert. ",
	} {
		words := strings.Fields(strings.Repeat(prose, 12))
		var src strings.Builder
		column := 0
		for _, word := range words {
			if column > 0 && column+1+len(word) > 80 {
				src.WriteByte('\n')
				column = 0
			} else if column > 0 {
				src.WriteByte(' ')
				column++
			}
			src.WriteString(word)
			column += len(word)
		}
		for _, p := range split(t, src.String(), Options{Tokens: 130}) {
			if !strings.HasSuffix(p.Content, ".") {
				t.Errorf("%s: passage %d ends inside a sentence: %q", name, p.Ordinal, p.Content)
			}
		}
	}
}

// TestLongRecord splits a line that is too long for a passage between sentences.
func TestLongRecord(t *testing.T) {
	t.Parallel()
	got := contents(split(t, "one two\nThree four. Five six seven. Eight\nnine\n", Options{Tokens: 4, Count: words}))
	want := []string{"one two", "Three four.", "Five six seven.", "Eight\nnine"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestCellEnds(t *testing.T) {
	t.Parallel()
	for row, want := range map[string][]string{
		"| a | b c |\n":          {"| a |", " b c |"},
		"a | b":                  {"a |", " b"},
		`| a \| b | c |`:         {`| a \| b |`, " c |"},
		"| `a | b` | ``c|`|`` |": {"| `a | b` |", " ``c|`|`` |"},
		"| `a | b |":             {"| `a |", " b |"},
		"||a||":                  {"||a|", "|"},
		" \n":                    nil,
	} {
		var got []string
		at := 0
		for _, end := range cellEnds(row) {
			got = append(got, row[at:end])
			at = end
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got)\n%s", row, diff)
		}
	}
}

// TestWideTable splits rows that are too wide between cells. The context of each part must begin
// with the header of its first column.
func TestWideTable(t *testing.T) {
	t.Parallel()
	const columns = 200
	var src strings.Builder
	for _, row := range []func(int) string{
		func(i int) string { return fmt.Sprintf(" Column number %d |", i) },
		func(int) string { return "---|" },
		func(i int) string { return fmt.Sprintf(" some `v|%d` |", i) },
	} {
		src.WriteString("|")
		for i := range columns {
			src.WriteString(row(i))
		}
		src.WriteString("\n")
	}
	below := 0
	for _, p := range split(t, "# Wide\n\n"+src.String(), Options{}) {
		if !strings.HasSuffix(p.Content, "|") || strings.Count(p.Content, "`")%2 != 0 {
			t.Errorf("passage %d ends inside a cell: %q", p.Ordinal, p.Content[max(0, len(p.Content)-40):])
		}
		_, after, found := strings.Cut(p.Content, "v|")
		if !found {
			continue
		}
		below++
		var first int
		if _, err := fmt.Sscanf(after, "%d", &first); err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("| Column number %d |", first); !strings.HasPrefix(p.Context, want) {
			t.Errorf("passage %d begins with cell %d and has the context %.60q, want %q first", p.Ordinal, first, p.Context, want)
		}
	}
	if below < 3 {
		t.Errorf("%d passages after the header, want at least 3", below)
	}
}
