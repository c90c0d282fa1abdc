package sqlite

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/pressly/goose/v3"

	"github.com/seed-7a112592/gristmill/internal/backend/storetest"
	"github.com/seed-7a112592/gristmill/internal/garbage"
	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/internal/verification"
	"github.com/seed-7a112592/gristmill/migrations"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// databaseAtMigration returns a database as it was after a number of migrations, with
// rows in it.
func databaseAtMigration(t *testing.T, migration int64, rows string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "test.db")
	db, err := openPool(path, writerParameters, 1)
	if err != nil {
		t.Fatal(err)
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, migrations.SQLite(), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.UpTo(t.Context(), migration); err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), `BEGIN;`+rows+`;COMMIT`); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// Jobs that were there before backlogs were counted count too.
func TestMigrationCountsTheBacklog(t *testing.T) {
	t.Parallel()
	path := databaseAtMigration(t, 2, `
		INSERT INTO collections VALUES ('default', 'c', 'c', 1, 0);
		INSERT INTO spaces (id, tenant, collection, model, dimensions, chunk_tokens, chunk_overlap, created_at)
		VALUES (1, 'default', 'c', 'm', 2, 10, 0, 0);
		INSERT INTO documents (tenant, id, collection, key, state, newest_version, created_at, updated_at)
		VALUES ('default', 'd', 'c', 'a', 'pending', 3, 0, 0);
		INSERT INTO versions (tenant, document, version, space, title, metadata, object, size, sha256, media_type, created_at)
		SELECT 'default', 'd', value, 1, '', '{}', '', value * 100, '', '', 0 FROM json_each('[1, 2, 3]');
		INSERT INTO jobs (tenant, id, document, version, state, created_at)
		VALUES ('default', '1', 'd', 1, 'succeeded', 0), ('default', '2', 'd', 2, 'waiting', 0), ('default', '3', 'd', 3, 'queued', 0)`)
	got, err := open(t, path).Backlog(tenant.With(t.Context(), tenant.Default))
	if want := (task.Backlog{Jobs: 2, Bytes: 500}); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

// What versions had while they belonged to a space, they have in it still.
func TestMigrationKeepsWhatVersionsHave(t *testing.T) {
	t.Parallel()
	ctx := tenant.With(t.Context(), tenant.Default)
	const id = "00000000-0000-7000-8000-00000000000d"
	s := open(t, databaseAtMigration(t, 4, `
		INSERT INTO collections VALUES ('default', '00000000-0000-7000-8000-00000000000c', 'c', 7, 0);
		INSERT INTO spaces (id, tenant, collection, model, dimensions, chunk_tokens, chunk_overlap, created_at)
		VALUES (7, 'default', '00000000-0000-7000-8000-00000000000c', 'm', 2, 10, 0, 0);
		INSERT INTO documents (tenant, id, collection, key, state, live_version, newest_version, created_at, updated_at)
		VALUES ('default', '`+id+`', '00000000-0000-7000-8000-00000000000c', 'a', 'ready', 1, 2, 0, 0);
		INSERT INTO versions (tenant, document, version, space, title, metadata, object, size, sha256, media_type, created_at)
		SELECT 'default', '`+id+`', value, 7, 'Title ' || value, '{}', 'object', 100, '', '', 0 FROM json_each('[1, 2]');
		INSERT INTO passages (id, tenant, space, hash, created_at, tokens, embedding, heading_path, context, content)
		VALUES (1, 'default', 7, zeroblob(32), 0, 3, x'0000803f00000000', '[]', '', 'one'),
		       (2, 'default', 7, unhex(printf('%064d', 1)), 0, 3, x'0000803f0000803f', '[]', '', 'two');
		INSERT INTO manifest (tenant, document, version, ordinal, passage, start_byte, end_byte)
		VALUES ('default', '`+id+`', 1, 0, 1, 0, 3), ('default', '`+id+`', 1, 1, 2, 4, 7), ('default', '`+id+`', 2, 0, 1, 0, 3);
		INSERT INTO jobs (tenant, id, document, version, state, created_at, size)
		VALUES ('default', '00000000-0000-7000-8000-000000000001', '`+id+`', 1, 'succeeded', 0, 100),
		       ('default', '00000000-0000-7000-8000-000000000002', '`+id+`', 2, 'running', 0, 100);
		INSERT INTO tasks (tenant, document, version, kind, job, state)
		SELECT tenant, document, version, value, jobs.id, state FROM jobs, json_each('["knowledge", "summary"]');
		INSERT INTO summaries VALUES ('default', '`+id+`', 1, 'm', 'Summary')`))

	list, err := s.Passages(ctx, uuid.MustParse(id), document.Page{Limit: 10})
	if err != nil || len(list.Items) != 2 || list.Items[0].Content != "one" || list.Items[1].Content != "two" {
		t.Errorf("passages: got %+v, %v, want both", list.Items, err)
	}
	c, err := s.Collection(ctx, "c")
	if err != nil {
		t.Fatal(err)
	}
	hits, err := s.NearestPassages(ctx, c.ActiveSpace, vector.Query{Vector: []float32{1, 0}, Limit: 10})
	if err != nil || len(hits) != 2 || hits[0].Content != "one" || hits[0].Title != "Title 1" || len(hits[0].AlsoIn) > 0 {
		t.Errorf("search: got %+v, %v, want both passages at one place each", hits, err)
	}
	if summary, err := s.Summary(ctx, uuid.MustParse(id)); err != nil || summary.Summary != "Summary" {
		t.Errorf("summary: got %+v, %v", summary, err)
	}
	if backlog, err := s.Backlog(ctx); err != nil || backlog != (task.Backlog{Jobs: 1, Bytes: 100}) {
		t.Errorf("backlog: got %+v, %v, want the one job that has not ended", backlog, err)
	}
	if diff := cmp.Diff([]vector.SpaceVersion{{SpaceID: 7, Passages: 2}}, spaceVersionsOf(t, s, id, 1)); diff != "" {
		t.Errorf("where the version that is live stands whole (-want +got):\n%s", diff)
	}
	if got := spaceVersionsOf(t, s, id, 2); len(got) > 0 {
		t.Errorf("the version that is under way is said to stand whole: %+v", got)
	}

	if _, err := s.writer.ExecContext(ctx, `UPDATE jobs SET state = 'failed' WHERE version = 2; UPDATE documents SET newest_version = 3`); err != nil {
		t.Fatal(err)
	}
	if _, err := s.CollectGarbage(ctx, garbage.Entry{Kind: garbage.KindVersion, DocumentID: uuid.MustParse(id), Version: 2}, 0, 10); err != nil {
		t.Fatal(err)
	}
	for table, want := range map[string]int{"versions": 1, "manifest": 2, "space_versions": 1, "jobs": 1, "tasks": 2, "summaries": 1} {
		if got := countRows(t, s, table); got != want {
			t.Errorf("%s, once a version is forgotten: got %d rows, want %d", table, got, want)
		}
	}
	for _, check := range []string{"SELECT count(*) FROM pragma_foreign_key_check", "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'"} {
		var wrong int
		if err := s.writer.QueryRowContext(ctx, check).Scan(&wrong); err != nil || wrong > 0 {
			t.Errorf("%s: got %d, %v", check, wrong, err)
		}
	}
}

func spaceVersionsOf(t *testing.T, s *Store, id string, version int) []vector.SpaceVersion {
	t.Helper()
	rows, err := s.writer.QueryContext(t.Context(), `SELECT space, passages FROM space_versions WHERE document = ?1 AND version = ?2`, id, version)
	versions, err := collectRows(rows, err, func(row scanner) (p vector.SpaceVersion, err error) {
		return p, row.Scan(&p.SpaceID, &p.Passages)
	})
	if err != nil {
		t.Fatal(err)
	}
	return versions
}

// countRows returns how many rows a table has.
func countRows(t *testing.T, s *Store, table string) (rows int) {
	t.Helper()
	if err := s.writer.QueryRowContext(t.Context(), `SELECT count(*) FROM `+table).Scan(&rows); err != nil {
		t.Fatal(err)
	}
	return rows
}

// Keys of before are in normal form, but for those that would collide.
func TestMigrationBringsKeysIntoNormalForm(t *testing.T) {
	t.Parallel()
	ctx := tenant.With(t.Context(), tenant.Default)
	s := open(t, databaseAtMigration(t, 5, `
		INSERT INTO collections VALUES ('default', '00000000-0000-7000-8000-00000000000c', 'c', 7, 0);
		INSERT INTO spaces (id, tenant, collection, model, dimensions, chunk_tokens, chunk_overlap, created_at)
		VALUES (7, 'default', '00000000-0000-7000-8000-00000000000c', 'm', 2, 10, 0, 0);
		INSERT INTO documents (tenant, id, collection, key, state, newest_version, created_at, updated_at)
		SELECT 'default', '00000000-0000-7000-8000-00000000000' || key, '00000000-0000-7000-8000-00000000000c', value, 'pending', 1, 0, 0
		FROM json_each('["plain", "cafe\u0301", "two\u0301", "tw\u00f3", "a\u0323\u0307", "a\u0307\u0323"]');
		-- Neither another collection's document nor one that is deleted is in the way.
		INSERT INTO collections VALUES ('default', '00000000-0000-7000-8000-00000000000d', 'other', 7, 0);
		INSERT INTO documents (tenant, id, collection, key, state, newest_version, created_at, updated_at, deleted_at)
		VALUES ('default', '00000000-0000-7000-8000-000000000008', '00000000-0000-7000-8000-00000000000c', 'café', 'deleting', 1, 0, 0, 1),
		       ('default', '00000000-0000-7000-8000-000000000009', '00000000-0000-7000-8000-00000000000d', 'twó', 'pending', 1, 0, 0, NULL);
		INSERT INTO versions (tenant, document, version, title, metadata, object, size, sha256, media_type, created_at)
		SELECT 'default', id, 1, '', '{}', 'object', 100, '', '', 0 FROM documents`))
	list, err := s.Documents(ctx, document.DocumentFilter{}, document.Page{Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, d := range slices.Backward(list.Items) {
		keys = append(keys, d.Key)
	}
	want := []string{"plain", "caf\u00e9", "two\u0301", "tw\u00f3", "\u1ea1\u0307", "a\u0307\u0323", "tw\u00f3"}
	if diff := cmp.Diff(want, keys); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
}

// A space of before has vectors of the length that it had, and is searched; new
// ones may not know theirs yet.
func TestMigrationKeepsTheLengthOfVectors(t *testing.T) {
	t.Parallel()
	ctx := tenant.With(t.Context(), tenant.Default)
	const id = "00000000-0000-7000-8000-00000000000"
	s := open(t, databaseAtMigration(t, 5, `
		INSERT INTO collections VALUES ('default', '`+id+`a', 'full', 1, 0), ('default', '`+id+`b', 'empty', 2, 0);
		INSERT INTO spaces (id, tenant, collection, model, dimensions, chunk_tokens, chunk_overlap, created_at)
		VALUES (1, 'default', '`+id+`a', 'm', 2, 10, 0, 0), (2, 'default', '`+id+`b', 'm', 2, 10, 0, 0);
		INSERT INTO documents (tenant, id, collection, key, state, live_version, newest_version, created_at, updated_at)
		VALUES ('default', '`+id+`1', '`+id+`a', 'a', 'ready', 1, 1, 0, 0);
		INSERT INTO versions (tenant, document, version, title, metadata, object, size, sha256, media_type, created_at)
		VALUES ('default', '`+id+`1', 1, '', '{}', '', 1, '', '', 0);
		INSERT INTO passages (id, tenant, space, hash, created_at, tokens, embedding, heading_path, context, content)
		VALUES (1, 'default', 1, zeroblob(32), 0, 1, x'0000803f00000000', '[]', '', 'text');
		INSERT INTO manifest (tenant, document, version, space, ordinal, passage, start_byte, end_byte)
		VALUES ('default', '`+id+`1', 1, 1, 0, 1, 0, 4);
		INSERT INTO placements (tenant, document, version, space, passages) VALUES ('default', '`+id+`1', 1, 1, 1)`))
	storetest.CheckMigratedDimensions(t, ctx, s)
}

// Of what was uploaded before, nothing is known of the objects, and nothing is
// taken for damaged.
func TestMigrationKnowsNothingOfOriginals(t *testing.T) {
	t.Parallel()
	ctx := tenant.With(t.Context(), tenant.Default)
	const id = "00000000-0000-7000-8000-00000000000d"
	s := open(t, databaseAtMigration(t, 5, `
		INSERT INTO collections VALUES ('default', '00000000-0000-7000-8000-00000000000c', 'c', 7, 0);
		INSERT INTO spaces (id, tenant, collection, model, dimensions, chunk_tokens, chunk_overlap, created_at)
		VALUES (7, 'default', '00000000-0000-7000-8000-00000000000c', 'm', 2, 10, 0, 0);
		INSERT INTO documents (tenant, id, collection, key, state, live_version, newest_version, created_at, updated_at)
		VALUES ('default', '`+id+`', '00000000-0000-7000-8000-00000000000c', 'a', 'ready', 1, 1, 0, 0);
		INSERT INTO versions (tenant, document, version, title, metadata, object, size, sha256, media_type, created_at)
		VALUES ('default', '`+id+`', 1, '', '{}', 'default/old', 10, 'hash', '', 0);
		INSERT INTO jobs (tenant, id, document, version, state, created_at, size)
		VALUES ('default', '00000000-0000-7000-8000-000000000001', '`+id+`', 1, 'succeeded', 0, 10);
		INSERT INTO tasks (tenant, document, version, kind, job, state)
		SELECT tenant, document, version, value, jobs.id, state FROM jobs, json_each('["knowledge", "summary"]')`))
	kept, err := s.RetainedVersions(ctx, verification.Filter{}, uuid.Nil, 10)
	want := original.Ref{Object: "default/old", Size: 10, SHA256: "hash"}
	if err != nil || len(kept) != 1 || kept[0].Original != want || kept[0].Damage != "" {
		t.Fatalf("kept %+v, %v", kept, err)
	}
	again := original.Upload{Object: "default/new", Size: 10, SHA256: "hash", ObjectETag: "tag"}
	if err := s.BeginUpload(ctx, again.Object); err != nil {
		t.Fatal(err)
	}
	if restored, err := s.RestoreOriginal(ctx, kept[0].DocumentID, "default/old", again); err != nil || restored.Document.Object != again.Object {
		t.Errorf("restored %+v, %v", restored, err)
	}
}

// What had become garbage before there was a list of it is found by the search
// that the migration lists.
func TestMigrationSearchesForGarbage(t *testing.T) {
	t.Parallel()
	ctx := tenant.With(t.Context(), tenant.Default)
	const collection = "00000000-0000-7000-8000-00000000000c"
	s := open(t, databaseAtMigration(t, 10, `
		INSERT INTO collections VALUES ('default', '`+collection+`', 'c', 7, 0);
		INSERT INTO spaces (id, tenant, collection, model, dimensions, chunk_tokens, chunk_overlap, created_at, drop_after)
		VALUES (7, 'default', '`+collection+`', 'm', 2, 10, 0, 0, NULL), (8, 'default', '`+collection+`', 'n', 2, 10, 0, 0, 1);
		INSERT INTO documents (tenant, id, collection, key, state, live_version, newest_version, created_at, updated_at, deleted_at)
		VALUES ('default', '00000000-0000-7000-8000-00000000000a', '`+collection+`', 'superseded', 'ready', 2, 2, 0, 0, NULL),
		       ('default', '00000000-0000-7000-8000-00000000000b', '`+collection+`', 'deleted', 'ready', 2, 2, 0, 0, 1);
		INSERT INTO versions (tenant, document, version, title, metadata, object, size, sha256, media_type, created_at)
		SELECT tenant, d.id, n.value, '', '{}', d.key || ' ' || n.value, 100, '', '', 0 FROM documents d, json_each('[1, 2]') n;
		INSERT INTO passages (id, tenant, space, hash, created_at, tokens, embedding, heading_path, context, content)
		SELECT value, 'default', 7, unhex(printf('%064d', value)), 0, 3, x'0000803f00000000', '[]', '', 'text' FROM json_each('[1, 2, 3]');
		INSERT INTO manifest (tenant, document, version, space, ordinal, passage, start_byte, end_byte)
		SELECT tenant, document, version, 7, 0, version, 0, 1 FROM versions;
		INSERT INTO jobs (tenant, id, document, version, state, created_at, finished_at, size)
		SELECT tenant, document || version, document, version, 'succeeded', 0, 0, 100 FROM versions;
		INSERT INTO uploads (tenant, object, created_at, abandoned_at) VALUES ('default', 'abandoned', 0, 1)`))
	gone := storetest.CollectAll(t, ctx, s)
	slices.Sort(gone)
	if diff := cmp.Diff([]string{"abandoned", "deleted 1", "deleted 2", "superseded 1"}, gone); diff != "" {
		t.Errorf("objects that are deleted (-want +got):\n%s", diff)
	}
	for table, want := range map[string]int{"documents": 1, "versions": 1, "manifest": 1, "passages": 1, "spaces": 1, "garbage": 0, "uploads": 0} {
		if got := countRows(t, s, table); got != want {
			t.Errorf("%d rows are left in %s, want %d", got, table, want)
		}
	}
}
