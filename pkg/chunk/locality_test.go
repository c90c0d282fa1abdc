package chunk

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/seed-7a112592/gristmill/pkg/markdown"
)

// TestEditChangesItsSection edits one paragraph of a real document at a time. Every passage that
// has to be embedded again must be under the headings of the edited passage.
func TestEditChangesItsSection(t *testing.T) {
	t.Parallel()
	opt := Options{Tokens: 150}
	edits := 0
	for path, src := range sample(t) {
		before := collect(t, strings.NewReader(src), opt)
		embedded := make(map[string]bool)
		for _, p := range before {
			embedded[p.EmbeddingInput()] = true
		}
		for i, at := range paragraphEnds(t, src) {
			if i%16 != 0 {
				continue
			}
			edits++
			edited := before[slices.IndexFunc(before, func(p Passage) bool { return p.End >= int64(at) })]
			section := edited.Headings
			for _, p := range collect(t, strings.NewReader(src[:at]+" and was milled"+src[at:]), opt) {
				if embedded[p.EmbeddingInput()] || len(p.Headings) >= len(section) && slices.Equal(p.Headings[:len(section)], section) {
					continue
				}
				t.Errorf("%s: an edit at byte %d under %v changed passage %d under %v", path, at, section, p.Ordinal, p.Headings)
			}
		}
	}
	if edits == 0 {
		t.Error("the corpus has no paragraph to edit")
	}
}

// paragraphEnds returns the end offsets of the paragraphs of src, without white space.
func paragraphEnds(t *testing.T, src string) []int {
	var ends []int
	for p, err := range markdown.Scan(strings.NewReader(src), markdown.Options{}) {
		switch {
		case err != nil:
			t.Fatal(err)
		case p.Kind != markdown.KindParagraph || p.Blank:
		case p.Boundary == markdown.BoundaryBlock:
			ends = append(ends, 0)
			fallthrough
		default:
			ends[len(ends)-1] = int(p.Start) + len(bytes.TrimSpace(p.Text))
		}
	}
	return ends
}
