package fault_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/seed-7a112592/gristmill/pkg/chunk"
)

// file is a document to upload.
type file struct{ key, text string }

// newFiles returns n documents of different lengths: most have a few passages, one in eight has
// dozens.
func newFiles(r *rand.Rand, n int) []file {
	files := make([]file, n)
	for i := range files {
		sections := 1 + r.IntN(6)
		if i%8 == 0 {
			sections = 30 + r.IntN(20)
		}
		files[i] = newFile(r, fmt.Sprintf("file-%03d.md", i), sections, 2+r.IntN(3))
	}
	return files
}

// newFile returns a document with the given numbers of sections and of blocks in each. About six
// blocks make a passage. Two documents never have a passage in common, because a passage is
// embedded with its headings, which contain the key.
func newFile(r *rand.Rand, key string, sections, blocks int) file {
	var b strings.Builder
	fmt.Fprintf(&b, "---\ntags: [grain, %s]\n---\n\n# %s %08x\n", words[r.IntN(len(words))], key, r.Uint32())
	for section := range sections {
		fmt.Fprintf(&b, "\n## %s %d\n", words[r.IntN(len(words))], section)
		for range blocks {
			b.WriteString("\n")
			writeBlock(&b, r)
		}
	}
	return file{key, b.String()}
}

// countPassages returns the number of passages that the files are split into.
func countPassages(t *testing.T, files []file) (n int) {
	t.Helper()
	for _, f := range files {
		for _, err := range chunk.Split(strings.NewReader(f.text), chunk.Options{Tokens: 400}) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
	}
	return n
}

// writeBlock writes a paragraph or, less often, a list, code or a table.
func writeBlock(b *strings.Builder, r *rand.Rand) {
	switch r.IntN(10) {
	case 0:
		for range 3 {
			b.WriteString("- " + sentence(r) + "\n")
		}
	case 1:
		b.WriteString("```\n" + sentence(r) + "\n\n" + sentence(r) + "\n```\n")
	case 2:
		b.WriteString("| grain | use |\n| --- | --- |\n")
		for range 3 {
			fmt.Fprintf(b, "| %s | %s |\n", words[r.IntN(len(words))], words[r.IntN(len(words))])
		}
	default:
		for range 2 + r.IntN(4) {
			b.WriteString(sentence(r) + " ")
		}
		b.WriteString("\n")
	}
}

func sentence(r *rand.Rand) string {
	chosen := make([]string, 6+r.IntN(10))
	for i := range chosen {
		chosen[i] = words[r.IntN(len(words))]
	}
	return strings.Join(chosen, " ") + "."
}

var words = strings.Fields(`grain rye wheat oats barley millet husk bran flour meal mill stone wheel water wind sluice weir race
	sack cart scale hopper sieve dust crust loaf oven hearth peel dough salt yeast crumb Mühle Roggen farine blé мука 小麦 製粉 穀物
	turns grinds falls rises feeds waits carries holds breaks settles slowly evenly finely twice again never`)
