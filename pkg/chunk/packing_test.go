package chunk

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// words counts words as tokens, so that sizes are easy to read in these tests.
func words(s string) int { return len(strings.Fields(s)) }

// packed has the parts of a passage that these tests compare.
type packed struct{ Path, Context, Content string }

func TestPacking(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		tokens  int
		overlap int
		source  string
		want    []packed
	}{
		{
			name: "a section that fits is one passage, with its subsections", tokens: 10,
			source: "# A\n\none two\n\n## B\n\nthree\n\n# C\n\nfour\n",
			want: []packed{
				{"A", "", "# A\n\none two\n\n## B\n\nthree"},
				{"C", "", "# C\n\nfour"}, // siblings are not merged
			},
		},
		{
			name: "a section that does not fit is its body and its subsections", tokens: 6,
			source: "# A\n\none two\n\nthree\n\nfour\n\n## B\n\nfive\n\n## C\n\nsix\n",
			want: []packed{
				{"A", "", "# A\n\none two\n\nthree"},
				{"A", "", "four"}, // although B would fit after it
				{"A > B", "", "## B\n\nfive"},
				{"A > C", "", "## C\n\nsix"},
			},
		},
		{
			name: "headings go with the section after them", tokens: 10,
			source: "# A\n\n## B\n\n### C\n\none two\n\n### D\n\nthree four\n",
			want: []packed{
				{"A", "", "# A\n\n## B\n\n### C\n\none two"},
				{"A > B > D", "", "### D\n\nthree four"},
			},
		},
		{
			name: "a section of headings goes with the next", tokens: 7,
			source: "# A\n\n# B\n\none two\n",
			want:   []packed{{"", "", "# A\n\n# B\n\none two"}},
		},
		{
			name: "headings are a passage if the section after them fits only without them", tokens: 10,
			source: "# A a a\n\n## B\n\none two three\n\n## C\n\nfour\n",
			want: []packed{
				{"A a a", "", "# A a a"},
				{"A a a > B", "", "## B\n\none two three"},
				{"A a a > C", "", "## C\n\nfour"},
			},
		},
		{
			name: "a paragraph after a heading is split", tokens: 5,
			source: "# A\n\nOne two. Three four five.\n",
			want:   []packed{{"A", "", "# A\n\nOne two."}, {"A", "", "Three four five."}},
		},
		{
			name: "a list after a heading is split", tokens: 7,
			source: "# A\n\n- one\n- two\n- three\n",
			want:   []packed{{"A", "", "# A\n\n- one\n- two"}, {"A", "", "- three"}},
		},
		{
			name: "a fenced block that fits is not split", tokens: 6,
			source: "one two three\n\n```\nx y\n\nz\n```\n\nfour\n",
			want:   []packed{{"", "", "one two three"}, {"", "", "```\nx y\n\nz\n```\n\nfour"}},
		},
		{
			name: "a fenced block that does not fit is split between lines", tokens: 4,
			source: "```\nx y\n  z z\n```\n",
			want:   []packed{{"", "", "```\nx y"}, {"", "", "  z z\n```"}},
		},
		{
			name: "indented code keeps its indentation", tokens: 3,
			source: "one two\n\n    x y\n      z\n",
			want:   []packed{{"", "", "one two"}, {"", "", "    x y\n      z"}},
		},
		{
			name: "a table is split between rows, with its header as context", tokens: 17,
			source: "| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |\n| 5 | 6 |\n\none\n",
			want: []packed{
				{"", "", "| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |"},
				{"", "| a | b |\n|---|---|", "| 5 | 6 |\n\none"},
			},
		},
		{
			name: "a list is split between items, an item between lines", tokens: 5,
			source: "- a b\n  c\n- d\n- e f g h i\n  j\n",
			want: []packed{
				{"", "", "- a b\n  c"}, {"", "", "- d"},
				{"", "", "- e f g h"}, {"", "", "i\n  j"},
			},
		},
		{
			name: "a wrapped paragraph is split between sentences", tokens: 5,
			source: "One two\nthree. Four\nfive six.\nSeven eight?\n",
			want:   []packed{{"", "", "One two\nthree."}, {"", "", "Four\nfive six.\nSeven eight?"}},
		},
		{
			name: "a sentence is split between words", tokens: 3,
			source: "one two three four, five six seven.\n",
			want:   []packed{{"", "", "one two three"}, {"", "", "four, five six"}, {"", "", "seven."}},
		},
		{
			name: "passages overlap by lines and sentences of their section", tokens: 7, overlap: 2,
			source: "# A\n\nOne two. Three four. Five six. Seven eight.\n\n# B\n\nnine\n",
			want: []packed{
				{"A", "", "# A\n\nOne two. Three four."},
				{"A", "", "Three four. Five six. Seven eight."},
				{"B", "", "# B\n\nnine"},
			},
		},
		{
			name: "underlined headings", tokens: 9,
			source: "Title\n=====\n\none\n\nSub\n---\n\ntwo two two two\n",
			want:   []packed{{"Title", "", "Title\n=====\n\none"}, {"Title > Sub", "", "Sub\n---\n\ntwo two two two"}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got []packed
			for _, p := range split(t, tt.source, Options{Tokens: tt.tokens, Overlap: tt.overlap, Count: words}) {
				got = append(got, packed{strings.Join(p.HeadingPath, " > "), p.Context, p.Content})
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestEqualHeadingsDifferByOffset(t *testing.T) {
	t.Parallel()
	all := split(t, "# A\n\none\n\n# A\n\ntwo\n", Options{Tokens: 4, Count: words})
	if len(all) != 2 || all[0].Headings[0].Start != 0 || all[1].Headings[0].Start != 10 {
		t.Errorf("got %+v, want two passages under headings at bytes 0 and 10", all)
	}
}

func TestEmbeddingInput(t *testing.T) {
	t.Parallel()
	src := "# A\n\n## B\n\n| a |\n|---|\n| 1 |\n| 2 |\n| 3 |\n"
	all := split(t, src, Options{Tokens: 14, Count: words})
	text := all[len(all)-1]
	if got, want := text.EmbeddingInput(), "A > B\n\n| a |\n|---|\n| 2 |\n| 3 |"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestNoHeadingAlone checks on real documents that a heading is a passage of its own only if it
// does not fit with the next passage.
func TestNoHeadingAlone(t *testing.T) {
	t.Parallel()
	for path, src := range sample(t) {
		all := collect(t, strings.NewReader(src), Options{Tokens: 120})
		for i, p := range all[:len(all)-1] {
			if strings.Contains(p.Content, "\n") || !strings.HasPrefix(p.Content, "#") {
				continue
			}
			if n := countTokens(p.EmbeddingPrefix() + src[p.Start:all[i+1].End]); n <= 120 {
				t.Errorf("%s: %q is a passage of its own, but has only %d tokens with the next one", path, p.Content, n)
			}
		}
	}
}
