package chunk

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	testcorpus "github.com/seed-7a112592/gristmill/internal/test/corpus"
)

// corpus returns the markdown documents of package markdown's testdata and of the test corpus, by
// path.
func corpus(t testing.TB) map[string]string {
	files := make(map[string]string)
	for _, dir := range []string{filepath.Join("..", "markdown", "testdata", "corpus"), testcorpus.Dir(t)} {
		found, err := testcorpus.Files(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			if strings.HasSuffix(f.Key, ".md") {
				files[filepath.Join(dir, f.Key)] = string(f.Text)
			}
		}
	}
	return files
}

// sample returns every twentieth document of the corpus, for tests that need
// variety more than size.
func sample(t testing.TB) map[string]string {
	files := corpus(t)
	for i, path := range slices.Sorted(maps.Keys(files)) {
		if i%20 != 0 {
			delete(files, path)
		}
	}
	return files
}

// seeds are documents with difficult syntax.
var seeds = []string{
	"", " \n\n\t\n", "\uFEFF# a\n\nb\n", "---\ntitle: a\n---\n\nb\n",
	"# a\n## b\n\nc d e f g h i j k l m n o p q r s t u v w x y z\n\n## c\n\n# d\n",
	"a\r\n\r\nb\rc\n", "    code\n\n    more\n", "```go\nfunc f() {\n\n\treturn\n}\n```\n", "```\nnever closed\n\n\n",
	"| a | b |\n|---|---|\n" + strings.Repeat("| one | two |\n", 20),
	"- a\n  b\n\n  c\n- " + strings.Repeat("item ", 30) + "\n- d\n",
	"Title\n=====\n\n" + strings.Repeat("A sentence of words. ", 20) + "\n",
	strings.Repeat("这是一个句子。那是另一个！", 10), strings.Repeat("a", 3000), strings.Repeat("-", 3000) + "x",
	"🤷🏽‍♀️👨‍👩‍👧‍👦" + strings.Repeat("e\u0301", 40), "\xff\xfe\x80" + strings.Repeat("\xc3", 50) + "\n\n# \xff\n",
	"a" + strings.Repeat(" ", 2000) + "b\n" + strings.Repeat("\n", 2000) + "c\n", "\u00a0\n===\n\u2003\nx\n\u00a0\ny\n",
	"# A heading of so many words that no passage holds it\n\nb c d e f g h\n\ni j k\n", "    # a\n   # b c\n\n\td\n",
	"![a](data:image/png;base64," + strings.Repeat("iVBOR+/=", 99) + ")\n\n<img src='data:a;base64,AAAA\nBBBB'>\n\ndata:;base64,\n",
	"import a from 'b'\n\n# c\n\nexport const d = {\n\n  e: 1,\n}\n\nf\n", "---\ntitle: a\n---\n \n", "<h1>a</h1><h2>b c d e f</h2>\ng h i j k l m n o p\n",
	strings.Repeat("one,two;three 4\n", 30), strings.Repeat("Some prose\nthat is wrapped. And more\n", 20), "# a\n" + strings.Repeat("## b b b b\n### c c c\n#### d d d d d\n\ne\n\n", 3),
	"| " + strings.Repeat("one `a|b` \\| two | ", 40) + "\n|" + strings.Repeat("---|", 40) + "\n|" + strings.Repeat("1|", 90) + "\n", strings.Repeat("x ", 99) + "\n===\ny\n",
	strings.Repeat(">", 50) + " quoted\n" + strings.Repeat("> more\n", 30),
}

func TestPropertiesOfCorpus(t *testing.T) {
	t.Parallel()
	for path, src := range corpus(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			split(t, src, Options{})
		})
	}
}
