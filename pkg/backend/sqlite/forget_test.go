package sqlite

import (
	"path/filepath"
	"testing"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/tenant"
)

// A document that was deleted and swept leaves no row behind.
func TestForgottenDocumentsLeaveNothing(t *testing.T) {
	t.Parallel()
	ctx := tenant.With(t.Context(), tenant.Default)
	s := open(t, filepath.Join(t.TempDir(), "test.db"))
	c, err := s.EnsureCollection(ctx, "c", document.Model{Name: "m", Dimensions: 8}, document.Chunking{Tokens: 400})
	if err != nil {
		t.Fatal(err)
	}
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
	remains, err := s.Remains(ctx, 0, 10)
	if err != nil || len(remains) != 2 {
		t.Fatalf("got remains %v, %v, want 2", remains, err)
	}
	for _, r := range remains {
		if err := s.Forget(ctx, r); err != nil {
			t.Fatal(err)
		}
	}
	if dropped, err := s.DropOrphans(ctx, 0, 100); err != nil || dropped != 6 {
		t.Errorf("got %d orphans, %v, want 6", dropped, err)
	}
	for _, table := range []string{"documents", "versions", "manifest", "passages", "jobs", "tasks", "summaries", "uploads"} {
		if rows := count(t, s, table); rows != 0 {
			t.Errorf("%s: got %d rows, want none", table, rows)
		}
	}
}
