package postgres_test

import (
	"testing"

	"github.com/seed-7a112592/gristmill/internal/backend/postgres"
	"github.com/seed-7a112592/gristmill/internal/backend/storetest"
	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

func TestCollectionLimit(t *testing.T) {
	t.Parallel()
	d := preparedDatabase(t)
	d.migrate(t)
	storetest.CheckCollectionLimit(t, func(limit int) storetest.Store { return d.openLimited(t, limit) })
}

// openLimited opens a store that allows a number of collections.
func (d database) openLimited(t *testing.T, limit int) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), postgres.Config{URL: d.app, MaxCollections: limit, MaxConns: 20, Log: logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// Collections that were there before they were counted count too, and one that
// is deleted by hand does not.
func TestMigrateCountsCollections(t *testing.T) {
	t.Parallel()
	d, super := newOwnedDatabase(t)
	d.migrateTo(t, 2)
	fillOldSchema(t, super)
	if err := d.tryMigrate(t); err != nil {
		t.Fatal(err)
	}
	s, ctx := d.openLimited(t, 1), tenant.With(t.Context(), tenant.Default)
	ensure := func(name string) error {
		_, err := s.EnsureCollection(ctx, name, document.Model{Name: "m", Dimensions: 2}, document.Chunking{Tokens: 10})
		return err
	}
	if err := ensure("another"); !fault.Is(err, fault.Conflict) {
		t.Errorf("a second collection where one is allowed: got %v", err)
	}
	execute(t, super, `UPDATE collections SET active_space = NULL`)
	execute(t, super, `DELETE FROM spaces`)
	execute(t, super, `DELETE FROM collections`)
	if err := ensure("another"); err != nil {
		t.Error(err)
	}
}
