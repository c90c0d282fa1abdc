package sqlite

import (
	"path/filepath"
	"testing"

	"github.com/seed-7a112592/gristmill/internal/backend/storetest"
	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

func TestCollectionLimit(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	var s *Store
	storetest.CheckCollectionLimit(t, func(limit int) storetest.Store {
		if s != nil {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		s = open(t, path)
		s.maxCollections = limit
		return s
	})
}

// Collections that were there before they were counted count too, and one that
// is deleted by hand does not.
func TestMigrationCountsCollections(t *testing.T) {
	t.Parallel()
	s := open(t, databaseAtMigration(t, 13, `
		INSERT INTO collections (tenant, id, name, live_space, created_at) VALUES ('default', 'c', 'c', 1, 0);
		INSERT INTO spaces (id, tenant, collection, model, dimensions, chunk_tokens, chunk_overlap, created_at)
		VALUES (1, 'default', 'c', 'm', 2, 10, 0, 0)`))
	s.maxCollections = 1
	ctx := tenant.With(t.Context(), tenant.Default)
	ensure := func(name string) error {
		_, err := s.EnsureCollection(ctx, name, document.Model{Name: "m", Dimensions: 2}, document.Chunking{Tokens: 10})
		return err
	}
	if err := ensure("another"); !fault.Is(err, fault.Conflict) {
		t.Errorf("a second collection where one is allowed: got %v", err)
	}
	if _, err := s.writer.ExecContext(ctx, `BEGIN; PRAGMA defer_foreign_keys = ON; DELETE FROM collections; DELETE FROM spaces; COMMIT`); err != nil {
		t.Fatal(err)
	}
	if err := ensure("another"); err != nil {
		t.Error(err)
	}
}
