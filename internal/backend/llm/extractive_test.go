package llm_test

import (
	"strings"
	"testing"
	"testing/quick"
	"unicode/utf8"

	"github.com/seed-7a112592/gristmill/internal/backend/llm"
)

func extract(t testing.TB, heading string, texts ...string) string {
	t.Helper()
	got, err := llm.ExtractiveSummariser{}.Summarise(t.Context(), llm.ExtractiveModel, heading, texts)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestExtractiveUsesProse(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, markdown, want string }{
		{"paragraph", "One sentence,\non two lines.\n", "One sentence, on two lines."},
		{"code", "Before it.\n\n```go\nfunc main() {}\n```\n\nAfter it.", "Before it. After it."},
		{"tildes and an open fence", "Before it.\n\n~~~\ncode ``` code\n", "Before it."},
		{"longer fence", "A word.\n\n````\n```\ncode\n````\nThe ending.", "A word. The ending."},
		{"indented code", "A word.\n\n    x := 1\n\nThe ending.", "A word. The ending."},
		{"table", "A word.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n", "A word."},
		{"headings", "Title\n===\n\n## Part\n\nThe text.", "Title The text."},
		{"list", "- [x] first thing\n- second thing\n  goes on\n\n      not code\n", "first thing second thing goes on not code"},
		{"numbers", "1. First thing.\n2) Second thing.", "First thing. Second thing."},
		{"quote", "> [!NOTE]\n> Quoted words.", "Quoted words."},
		{"inline", "See **the** _manual_ at [its page](https://a.example/x_y) or [here][1], `vec<T>` and snake_case_name![i](u).\n\n[1]: https://b.example",
			"See the manual at its page or here, vec<T> and snake_case_name."},
		{"html", "<div class=x>\n\nWords <b>and</b> more \\* words.\n\n</div>", "Words and more * words."},
		{"containers", "::: tip\nA tip.\n:::\n", "A tip."},
		{"code only", "```go\nfunc main() {}\n```\n", "go func main() {}"},
		{"table only", "| name | size |\n|---|---|\n| a | 1 |\n", "name | size a | 1"},
		{"heading only", "", "The heading"},
		{"Chinese", "响应式系统会自动跟踪依赖。修改它会触发更新。", "响应式系统会自动跟踪依赖。修改它会触发更新。"},
		{"Korean", "소유권은 규칙이다. 메모리를 관리한다.", "소유권은 규칙이다. 메모리를 관리한다."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := extract(t, "The *heading* {#anchor}", tt.markdown); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

// If not everything fits, the summary has the central sentences, each statement once, in the order
// of the text.
func TestExtractiveChoosesSentences(t *testing.T) {
	t.Parallel()
	aside := "My neighbour's cat, by contrast, sleeps all afternoon upon a very warm windowsill. "
	text := "Ownership decides when memory is released by a program. " +
		aside + "Somebody has painted the garden fence in seven different shades of green. " +
		"Every value in memory has one owner, and ownership can move between variables. " +
		strings.ReplaceAll(aside, "cat", "dog") + strings.Repeat("Yesterday it rained. ", 10) +
		"When the owner goes out of scope, the value is dropped and its memory is released. " +
		"Borrowing lets a program use a value without taking ownership of its memory."
	got := extract(t, "Ownership and memory", text)
	last := -1
	for _, want := range []string{"Ownership decides", "Every value", "When the owner", "Borrowing lets"} {
		at := strings.Index(got, want)
		if at <= last {
			t.Errorf("%q is missing or out of order in %q", want, got)
		}
		last = at
	}
	if strings.Contains(got, "fence") {
		t.Errorf("contains a sentence that is not central: %q", got)
	}
	if strings.Count(got, "Yesterday it rained") > 1 || strings.Count(got, "windowsill") > 1 {
		t.Errorf("contains a statement twice: %q", got)
	}
}

func TestExtractiveIsBounded(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"words":     strings.Repeat("word ", 10_000),
		"no spaces": strings.Repeat("字", 10_000),
		"sentences": strings.Repeat("This is a sentence of some length. And another one! ", 500),
		"one word":  strings.Repeat("a", 10_000),
	} {
		got := extract(t, "", text)
		if n := utf8.RuneCountInString(got); n == 0 || n > 400 || !utf8.ValidString(got) {
			t.Errorf("%s: %d characters: %q", name, n, got)
		}
	}
}

func TestExtractiveProperties(t *testing.T) {
	t.Parallel()
	property := func(heading, text string) bool {
		got := extract(t, heading, text)
		return got == extract(t, heading, text) && utf8.RuneCountInString(got) <= 400
	}
	if err := quick.Check(property, nil); err != nil {
		t.Error(err)
	}
}
