package sqlite

import (
	"path/filepath"
	"testing"

	"github.com/pressly/goose/v3"

	"github.com/seed-7a112592/gristmill/migrations"
	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/tenant"
)

// Jobs that were there before backlogs were counted count too.
func TestMigrationCountsTheBacklog(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	db, err := openPool(path, writing, 1)
	if err != nil {
		t.Fatal(err)
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, migrations.SQLite(), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.UpTo(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), `
		BEGIN;
		INSERT INTO collections VALUES ('default', 'c', 'c', 1, 0);
		INSERT INTO spaces (id, tenant, collection, model, dimensions, chunk_tokens, chunk_overlap, created_at)
		VALUES (1, 'default', 'c', 'm', 2, 10, 0, 0);
		INSERT INTO documents (tenant, id, collection, key, state, newest_version, created_at, updated_at)
		VALUES ('default', 'd', 'c', 'a', 'pending', 3, 0, 0);
		INSERT INTO versions (tenant, document, version, space, title, metadata, object, size, sha256, media_type, created_at)
		SELECT 'default', 'd', value, 1, '', '{}', '', value * 100, '', '', 0 FROM json_each('[1, 2, 3]');
		INSERT INTO jobs (tenant, id, document, version, state, created_at)
		VALUES ('default', '1', 'd', 1, 'succeeded', 0), ('default', '2', 'd', 2, 'waiting', 0), ('default', '3', 'd', 3, 'queued', 0);
		COMMIT`); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	got, err := open(t, path).Backlog(tenant.With(t.Context(), tenant.Default))
	if want := (document.Backlog{Jobs: 2, Bytes: 500}); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}
