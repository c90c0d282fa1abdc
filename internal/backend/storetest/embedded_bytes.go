package storetest

import (
	"context"
	"testing"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Of a passage that is too long for its model it is known everywhere how much
// is embedded.
func keepsHowMuchIsEmbedded(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "embedded in part")
	whole, cut := passageOf("embedded whole", 1, 0, 0), passageOf("embedded in part", 0, 1, 0)
	cut.EmbeddedBytes = 8
	job := publishDocument(t, ctx, s, uploadOf(c, "a"), whole, cut)
	wantKnown(t, ctx, s, c.ActiveSpace, hashesOf(whole, cut), whole, cut)
	passages, err := s.Passages(ctx, job.Document.ID, document.Page{Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{0, 8} {
		if got := passages.Items[i].EmbeddedBytes; got != want {
			t.Errorf("of passage %d %d bytes are embedded, want %d", i, got, want)
		}
	}
	if hits := nearestTo(t, ctx, s, c, 0, 1, 0); hits[0].EmbeddedBytes != 8 || hits[1].EmbeddedBytes != 0 {
		t.Errorf("hits say %d and %d, want 8 and 0", hits[0].EmbeddedBytes, hits[1].EmbeddedBytes)
	}

	// It goes with the vector to another space of the model.
	other, err := s.EnsureCollection(ctx, "embedded in part elsewhere", c.ActiveSpace.Model, document.Chunking{Tokens: 10})
	if err != nil {
		t.Fatal(err)
	}
	wantKnown(t, ctx, s, other.ActiveSpace, hashesOf(cut), cut)
}

// A write whose answer was lost is made again.
func writesTheSameTwice(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "written twice")
	one, two := passageOf("written twice, one", 1, 0, 0), passageOf("written twice, two", 0, 1, 0)
	work := beginKnowledge(t, ctx, s, c, "a")
	for range 2 {
		writeBatch(t, ctx, s, work, batchOf(0, one, two), document.KnowledgeProgress{Passages: 2})
	}
	if err := s.Publish(ctx, work, nil, document.KnowledgeProgress{Passages: 2}); err != nil {
		t.Error(err)
	}
}
