package markdown

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	testcorpus "github.com/seed-7a112592/gristmill/internal/test/corpus"
)

// deviations are the examples that goldmark does not parse as the specification says, with the
// blocks of the HTML in the specification.
var deviations = map[string][]block{
	// "A setext heading does not break a table without a blank line above it"; for goldmark, the
	// === is a paragraph.
	"| abc | def |\n| --- | --- |\n| bar | baz |\nbar\n===\n": {{KindTable, 0, 50}},
}

// TestSpecification compares the blocks of every example of CommonMark 0.31.2 and of the extensions
// in GFM 0.29 with goldmark's.
func TestSpecification(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"commonmark.json", "gfm.json"} {
		data, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		var examples []struct {
			Markdown string
			Example  int
			Section  string
		}
		if err := json.Unmarshal(data, &examples); err != nil {
			t.Fatal(err)
		}
		for _, e := range examples {
			src := []byte(e.Markdown)
			want, deviates := deviations[e.Markdown]
			if !deviates {
				want = goldmarkBlocks(src)
			}
			if diff := cmp.Diff(want, scanBlocks(src, Options{})); diff != "" {
				t.Errorf("%s example %d, %s (-goldmark +scan)\n%q\n%s", file, e.Example, e.Section, src, diff)
			}
		}
	}
}

// TestCorpus compares the blocks of real documents in three languages with goldmark's.
func TestCorpus(t *testing.T) {
	t.Parallel()
	for path, src := range corpus(t) {
		_, body := ParseFrontMatter(src)
		want := goldmarkBlocks(src[body:])
		got := scanBlocks(src, Options{})
		for i := range want {
			want[i].Start += body
			want[i].End += body
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-goldmark +scan)\n%s", path, diff)
		}
	}
}

// corpus returns the markdown documents of testdata and of the test corpus, by path.
func corpus(t testing.TB) map[string][]byte {
	files := make(map[string][]byte)
	for _, dir := range []string{filepath.Join("testdata", "corpus"), testcorpus.Dir(t)} {
		found, err := testcorpus.Files(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			if strings.HasSuffix(f.Key, ".md") {
				files[filepath.Join(dir, f.Key)] = f.Text
			}
		}
	}
	return files
}
