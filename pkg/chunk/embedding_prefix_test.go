package chunk

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/seed-7a112592/gristmill/pkg/markdown"
)

func TestTitle(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, title, source, want string }{
		{"no heading", "Torque limits", "Set all bolts to 40 Nm.\n", "Torque limits\n\nSet all bolts to 40 Nm."},
		{"another heading", "Torque limits", "# Bolts\n\na\n", "Torque limits > Bolts\n\n# Bolts\n\na"},
		{"the same heading", "Torque limits", "# Torque limits\n\na\n", "Torque limits\n\n# Torque limits\n\na"},
		{"in other words", "torque  `LIMITS`", "# **Torque** limits {#a}\n\na\n", "Torque limits\n\n# **Torque** limits {#a}\n\na"},
		{"no title", "", "# Bolts\n\na\n", "Bolts\n\n# Bolts\n\na"},
		{"in an empty heading", "T", "#\n\na\n", "T\n\n#\n\na"},
	} {
		all := split(t, tt.source, Options{Title: tt.title})
		if diff := cmp.Diff(tt.want, all[0].EmbeddingInput()); diff != "" {
			t.Errorf("%s (-want +got)\n%s", tt.name, diff)
		}
	}
}

// TestTitleInFirstHeading checks on real documents that a title that equals the first heading does
// not change any passage.
func TestTitleInFirstHeading(t *testing.T) {
	t.Parallel()
	for path, src := range sample(t) {
		body := "# A title\n" + underline.ReplaceAllString(strings.ReplaceAll("\n"+src, "\n# ", "\n## "), "---")
		if diff := cmp.Diff(collect(t, strings.NewReader(body), Options{}), collect(t, strings.NewReader(body), Options{Title: "A title"})); diff != "" {
			t.Errorf("%s (-without +with)\n%s", path, diff)
		}
	}
}

// underline matches the underline of a heading of level 1.
var underline = regexp.MustCompile(`(?m)^=+$`)

// TestShortenedPath splits documents whose heading paths have too many tokens.
func TestShortenedPath(t *testing.T) {
	t.Parallel()
	deep := "# one\n\n## two\n\n### three\n\n#### four\n\n##### five\n\n###### six\n\n" + strings.Repeat("a ", 60)
	for _, tt := range []struct {
		name   string
		tokens int
		title  string
		source string
		want   string
	}{
		{"all of it", 30, "", deep, "one > two > three > four > five > six"},
		{"without the middle", 20, "", deep, "one > two > … > five > six"},
		{"without more", 12, "", deep, "one > … > six"},
		{"with a title", 20, "zero", deep, "zero > one > … > five > six"},
		{"a long heading", 16, "", "# " + strings.Repeat("long ", 20) + "\n\na\n", "long long long long long … long long"},
	} {
		all := split(t, tt.source, Options{Tokens: tt.tokens, Title: tt.title, Count: words})
		got, _, _ := strings.Cut(all[len(all)-1].EmbeddingPrefix(), "\n")
		if got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestEmbeddedTokens checks the limit of tokens where heading paths and table headers are long.
func TestEmbeddedTokens(t *testing.T) {
	t.Parallel()
	heading := strings.Repeat("a very long heading that goes on ", 50)
	prose := strings.Repeat("Body sentence here. ", 200)
	table := "| " + strings.Repeat("column | ", 120) + "\n|" + strings.Repeat("---|", 120) + "\n" + strings.Repeat("| "+strings.Repeat("1 | ", 120)+"\n", 3)
	var deep strings.Builder
	for level := 1; level <= 6; level++ {
		fmt.Fprintf(&deep, "%s %s\n\n", strings.Repeat("#", level), strings.Repeat("标题很长 ", 20))
	}
	for _, src := range []string{"# " + heading + "\n\n" + prose, deep.String() + prose, deep.String() + table, heading + "\n===\n\n" + table} {
		for _, tokens := range []int{40, 100, 400} {
			all := split(t, src, Options{Tokens: tokens, Title: heading}) // checks the limit
			for _, p := range all[1:] {
				if len(p.HeadingPath) == 0 {
					t.Errorf("limit of %d tokens: passage %d has no heading path", tokens, p.Ordinal)
				}
			}
		}
	}
}

func TestPlainText(t *testing.T) {
	t.Parallel()
	all := split(t, "# no heading\n\n| a |\n|---|\n"+strings.Repeat("| one two |\n", 9), Options{Tokens: 12, Count: words, Syntax: markdown.SyntaxPlain})
	for _, p := range all {
		if len(p.HeadingPath) > 0 || p.Context != "" {
			t.Errorf("passage %d of a plain text has the heading path %q and the context %q", p.Ordinal, p.HeadingPath, p.Context)
		}
	}
}

func TestFrontMatterAlone(t *testing.T) {
	t.Parallel()
	matter := "---\ntitle: Placeholder\nowner: docs\n---"
	for _, src := range []string{matter, "\uFEFF" + matter + "\r\n", matter + "\n\n \n"} {
		all := split(t, src, Options{Title: "Placeholder"})
		if len(all) != 1 || all[0].EmbeddingInput() != "Placeholder\n\n"+matter {
			t.Errorf("%q: got %+v", src, all)
		}
	}
	long := "---\n" + strings.Repeat("key: a value of words\n", 200) + "---\n"
	if all := split(t, long, Options{}); len(all) < 2 {
		t.Errorf("long front matter is %d passages, want at least 2", len(all))
	}
	if all := split(t, matter+"\n\na\n", Options{}); len(all) != 1 || all[0].Content != "a" {
		t.Errorf("front matter before text: got %+v, want only the text", all)
	}
}

func TestHTMLHeadings(t *testing.T) {
	t.Parallel()
	src := "<h1 align=\"center\">Quern<b>stone</b></h1>\n<p><img src=logo.svg></p>\n\n<h2 id=a>Installation</h2>\n\nRun the installer now.\n\n<h2>Usage</h2><h3>Crank</h3>\nTurn it now.\n"
	var got []packed
	for _, p := range split(t, src, Options{Tokens: 10, Count: words}) {
		got = append(got, packed{Path: strings.Join(p.HeadingPath, " > "), Content: p.Content})
	}
	want := []packed{
		{Path: "Quernstone", Content: "<h1 align=\"center\">Quern<b>stone</b></h1>\n<p><img src=logo.svg></p>"},
		{Path: "Quernstone > Installation", Content: "<h2 id=a>Installation</h2>\n\nRun the installer now."},
		{Path: "Quernstone > Usage", Content: "<h2>Usage</h2><h3>Crank</h3>\nTurn it now."},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
