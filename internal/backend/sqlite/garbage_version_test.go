package sqlite

import (
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/garbage"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// A document that was deleted and swept leaves no row behind.
func TestCollectedDocumentsLeaveNothing(t *testing.T) {
	t.Parallel()
	ctx := tenant.With(t.Context(), tenant.Default)
	s, c := openCollection(t, ctx, 8)
	for version := range 2 {
		if err := publishVersion(ctx, s, c, "a", version, 3); err != nil {
			t.Fatal(err)
		}
	}
	list, err := s.Documents(ctx, document.DocumentFilter{}, document.Page{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	id := list.Items[0].ID
	summarise(t, ctx, s, id, 2)

	if err := s.DeleteDocument(ctx, id); err != nil {
		t.Fatal(err)
	}
	for range 3 { // versions, then their objects and passages
		all, err := s.Garbage(ctx, 48*time.Hour, 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range all {
			if g.Kind == garbage.KindObject || g.Kind == garbage.KindScan {
				err = s.DeleteGarbageEntries(ctx, g)
			} else {
				_, err = s.CollectGarbage(ctx, g, 48*time.Hour, 100)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, table := range []string{"documents", "versions", "manifest", "passages", "jobs", "tasks", "summaries", "uploads", "garbage"} {
		if rows := countRows(t, s, table); rows != 0 {
			t.Errorf("%s: got %d rows, want none", table, rows)
		}
	}
}
