package storetest

import (
	"context"
	"testing"

	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// CheckMigratedDimensions checks a store whose database was written when every space
// had a length of vectors: with the collections "full", which has a passage with
// the vector [1, 0], and "empty", both of model m with 2 dimensions. They keep
// their length, an empty one until it is settled, and a new space may have none.
func CheckMigratedDimensions(t *testing.T, ctx context.Context, s Store) {
	t.Helper()
	for name, unsettled := range map[string]bool{"full": false, "empty": true} {
		c, err := s.Collection(ctx, name)
		if want := (document.Model{Name: "m", Dimensions: 2}); err != nil || c.ActiveSpace.Model != want || c.SpaceReplaceable != unsettled {
			t.Errorf("%s: got %+v, %v, want %+v, unsettled %t", name, c, err, want, unsettled)
		}
		hits, err := s.NearestPassages(ctx, c.ActiveSpace, vector.Query{Collection: name, Vector: []float32{1, 0}, Limit: 10})
		if err != nil || len(hits) == 0 != unsettled {
			t.Errorf("%s: got hits %+v, %v", name, hits, err)
		}
	}
	c, err := s.EnsureCollection(ctx, "new", document.Model{Name: "m"}, document.Chunking{Tokens: 10})
	if err != nil || c.ActiveSpace.Model.Dimensions != 0 || !c.SpaceReplaceable {
		t.Errorf("a space of unknown length: got %+v, %v", c, err)
	}
}
