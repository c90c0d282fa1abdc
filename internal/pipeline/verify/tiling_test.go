package verify_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/seed-7a112592/gristmill/internal/pipeline/verify"
	"github.com/seed-7a112592/gristmill/pkg/chunk"
)

// passage is a stored passage.
type passage struct {
	ordinal    int
	start, end int64
	content    string
}

// splitSource returns the passages of a source.
func splitSource(t *testing.T, source string, options chunk.Options) []passage {
	t.Helper()
	var passages []passage
	for p, err := range chunk.Split(strings.NewReader(source), options) {
		if err != nil {
			t.Fatal(err)
		}
		passages = append(passages, passage{p.Ordinal, p.Start, p.End, p.Content})
	}
	return passages
}

// checkTiling returns what is wrong with passages of a source.
func checkTiling(t *testing.T, source string, passages []passage) error {
	t.Helper()
	tiling := verify.NewTilingChecker(iotest.HalfReader(strings.NewReader(source)))
	for _, p := range passages {
		wrong, err := tiling.CheckPassage(p.ordinal, p.start, p.end, p.content)
		if err != nil {
			t.Fatal(err)
		}
		if wrong != nil {
			return wrong
		}
	}
	wrong, err := tiling.CheckEnd()
	if err != nil {
		t.Fatal(err)
	}
	return wrong
}

// sampleSources returns documents with every kind of passage.
func sampleSources() map[string]string {
	var long strings.Builder
	for i := range 60 {
		fmt.Fprintf(&long, "# Part %d\n\nWheat, 밀 and 麦 are ground\u00a0between stones, time %d.\n\n| a | b |\n| - | - |\n| %d | x |\n\n", i, i, i)
	}
	return map[string]string{
		"prose":              "Wheat is ground.",
		"long":               long.String(),
		"much white space":   "first\n" + strings.Repeat(" \u2003\n", 25_000) + "last\n\n\n",
		"front matter":       "---\ntitle: Mill\n---\n\n# Mill\n\nIt grinds.\n",
		"only front matter":  "---\ntitle: Mill\n---\n",
		"byte order mark":    "\ufeff# Mill\n\nIt grinds.\n",
		"mark, front matter": "\ufeff---\ntitle: Mill\n---\nIt grinds.\n",
		"a break, no front":  "---\n\nIt grinds.\n\n---\n\nMore.\n",
		"one long line":      strings.Repeat("wheat rye oats ", 1000),
	}
}

func TestPassagesTileTheirSource(t *testing.T) {
	t.Parallel()
	for name, source := range sampleSources() {
		for _, options := range []chunk.Options{{Tokens: 32}, {Tokens: 64, Overlap: 20}, {Tokens: 400}} {
			if wrong := checkTiling(t, source, splitSource(t, source, options)); wrong != nil {
				t.Errorf("%s, %+v: %v", name, options, wrong)
			}
		}
	}
}

// Any change of a passage is found.
func TestPassagesThatAreWrong(t *testing.T) {
	t.Parallel()
	source := sampleSources()["long"]
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	for _, options := range []chunk.Options{{Tokens: 32}, {Tokens: 64, Overlap: 20}} {
		passages := splitSource(t, source, options)
		for name, spoil := range map[string]func(p []passage, i int) []passage{
			"lost":     func(p []passage, i int) []passage { return append(p[:i], p[i+1:]...) },
			"the last": func(p []passage, i int) []passage { return p[:len(p)-1] },
			"none":     func(p []passage, i int) []passage { return nil },
			"twice":    func(p []passage, i int) []passage { return append(p[:i+1], p[i:]...) },
			"swapped":  func(p []passage, i int) []passage { p[i], p[i+1] = p[i+1], p[i]; return p },
			"edited":   func(p []passage, i int) []passage { p[i].content = "X" + p[i].content[1:]; return p },
			"shifted":  func(p []passage, i int) []passage { p[i].start++; p[i].end++; return p },
			"shorter": func(p []passage, i int) []passage {
				p[i].end--
				p[i].content = p[i].content[:len(p[i].content)-1]
				return p
			},
			"too short": func(p []passage, i int) []passage { p[i].content = p[i].content[:1]; return p },
			"negative":  func(p []passage, i int) []passage { p[i].start, p[i].end = p[i].end, p[i].start; return p },
			"far":       func(p []passage, i int) []passage { p[i].start += 1 << 40; p[i].end += 1 << 40; return p },
		} {
			i := 1 + random.IntN(len(passages)-3)
			if wrong := checkTiling(t, source, spoil(append([]passage{}, passages...), i)); wrong == nil {
				t.Errorf("seed %d: %s, passage %d with an overlap of %d: no damage found", seed, name, i, options.Overlap)
			}
		}
	}
	if wrong := checkTiling(t, "It grinds.", []passage{{0, 0, 20, "It grinds. And more."}}); wrong == nil {
		t.Error("a passage past the end of the source is not found")
	}
}

// What an earlier release took for front matter may be uncovered; text may not.
func TestUncoveredFrontMatter(t *testing.T) {
	t.Parallel()
	for head, ok := range map[string]bool{
		"---\nnot: [yaml\n---\n":       true,
		"+++\ntitle = \"Mill\"\n+++\n": true,
		"---\ntitle: x\n...\n":         true,
		"Some text.\n":                 false,
		"---\ntitle: x\n":              false,
	} {
		source := head + "\nIt grinds.\n"
		start := int64(len(head) + 1)
		wrong := checkTiling(t, source, []passage{{0, start, start + 10, "It grinds."}})
		if (wrong == nil) != ok {
			t.Errorf("%q: got %v, want damage: %t", head, wrong, !ok)
		}
	}
}
