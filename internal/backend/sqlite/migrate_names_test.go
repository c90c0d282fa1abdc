package sqlite

import (
	"testing"

	"github.com/seed-7a112592/gristmill/internal/backend/storetest"
	"github.com/seed-7a112592/gristmill/internal/tenant"
)

// What a database of the release before has, it has under the names of today, and what
// follows a publication still does.
func TestMigrationRenamesColumns(t *testing.T) {
	t.Parallel()
	const (
		collection = "00000000-0000-7000-8000-00000000000c"
		id         = storetest.RenamedDocument
	)
	ctx := tenant.With(t.Context(), tenant.Default)
	s := open(t, databaseAtMigration(t, 17, `
		INSERT INTO collections (tenant, id, name, live_space, created_at) VALUES ('default', '`+collection+`', 'c', 1, 0);
		INSERT INTO spaces (id, tenant, collection, model, dimensions, chunk_tokens, chunk_overlap, created_at, missed)
		VALUES (1, 'default', '`+collection+`', 'm', 2, 10, 0, 0, 0), (2, 'default', '`+collection+`', 'n', 2, 10, 0, 0, 5);
		INSERT INTO documents (tenant, id, collection, key, state, newest_version, created_at, updated_at)
		VALUES ('default', '`+id+`', '`+collection+`', 'a', 'ready', 1, 0, 0);
		INSERT INTO versions (tenant, document, version, title, metadata, object, size, sha256, media_type, created_at, tag)
		VALUES ('default', '`+id+`', 1, '', '{"lang":"en"}', 'default/o', 10, 'hash', 'text/plain', 0, 'etag');
		INSERT INTO passages (id, tenant, space, hash, created_at, tokens, embedding, heading_path, context, content)
		VALUES (1, 'default', 1, zeroblob(32), 0, 1, x'0000803f00000000', '[]', '', 'text');
		INSERT INTO manifest (tenant, document, version, space, ordinal, passage, start_byte, end_byte)
		VALUES ('default', '`+id+`', 1, 1, 0, 1, 0, 4);
		INSERT INTO placements (tenant, document, version, space, passages, left_out)
		VALUES ('default', '`+id+`', 1, 1, 1, NULL), ('default', '`+id+`', 1, 2, 0, 'too long');
		UPDATE documents SET live_version = 1;
		INSERT INTO jobs (tenant, id, document, version, state, created_at, size, collection)
		VALUES ('default', '`+storetest.RenamedJob+`', '`+id+`', 1, 'running', 0, 10, '`+collection+`');
		INSERT INTO tasks (tenant, document, version, kind, job, state, asked)
		VALUES ('default', '`+id+`', 1, 'knowledge', '`+storetest.RenamedJob+`', 'succeeded', 0),
		       ('default', '`+id+`', 1, 'summary', '`+storetest.RenamedJob+`', 'queued', 1);
		INSERT INTO reindexes (tenant, id, collection, change, from_space, to_space, model, dimensions, chunk_tokens, chunk_overlap, reached, created_at)
		VALUES ('default', '`+storetest.RenamedReindex+`', '`+collection+`', 'model', 1, 2, 'n', 2, 10, 0, '`+id+`', 0);
		UPDATE garbage SET reached = '{"stage":"spaces","space":1}';
		INSERT INTO verifications (tenant, reached, documents, bytes, findings, started_at)
		VALUES ('default', '`+id+`', 3, 30, 1, unixepoch() * 1000000)`))
	storetest.CheckRenamedColumns(t, ctx, s)

	for query, want := range map[string]int{
		// Space 2 missed five versions before, and misses the one that was published.
		`SELECT missed_publications FROM spaces WHERE id = 2`: 6,
		`SELECT missed_publications FROM spaces WHERE id = 1`: 0,
		`SELECT count(*) FROM sqlite_schema, json_each('["live_version", "live_space", "placements", "missed ", "asked", " tag ", "reached"]')
		 WHERE instr(sql, value) > 0`: 0,
		`SELECT count(*) FROM sqlite_stat1 WHERE tbl = 'space_versions' AND idx IN ('space_versions', 'space_versions_left_out', 'space_versions_space')`: 3,
		`SELECT count(*) FROM sqlite_stat1 WHERE tbl NOT IN (SELECT name FROM sqlite_schema) OR idx NOT IN (SELECT name FROM sqlite_schema)`:              0,
		`SELECT count(*) FROM pragma_foreign_key_check`:                                 0,
		`SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'`:     0,
		`SELECT count(*) FROM space_versions WHERE space = 2 AND left_out = 'too long'`: 1,
	} {
		var got int
		if err := s.writer.QueryRowContext(ctx, query).Scan(&got); err != nil || got != want {
			t.Errorf("%s: got %d, %v, want %d", query, got, err, want)
		}
	}
}
