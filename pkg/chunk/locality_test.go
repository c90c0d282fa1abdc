package chunk

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/seed-7a112592/gristmill/pkg/markdown"
)

// TestEditChangesItsSection edits one paragraph of a real document at a time.
// Every passage that is to be embedded anew must stand under the headings of
// the passage that was edited.
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
				t.Errorf("%s: an edit at byte %d, under %v, changed passage %d, under %v", path, at, section, p.Ordinal, p.Headings)
			}
		}
	}
	if edits == 0 {
		t.Error("no paragraph was edited")
	}
}

// paragraphEnds returns where the paragraphs of src end.
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
