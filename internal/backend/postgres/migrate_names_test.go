package postgres_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/backend/storetest"
	"github.com/seed-7a112592/gristmill/internal/tenant"
)

// What a database of the release before has, it has under the names of today, and what
// follows a publication still does.
func TestMigrateRenamesColumns(t *testing.T) {
	t.Parallel()
	d, super := newOwnedDatabase(t)
	d.migrateTo(t, 34)
	const document = "'" + storetest.RenamedDocument + "'"
	fillOldSchema(t, super,
		`UPDATE spaces SET storage = 'own'`,
		`INSERT INTO spaces (tenant, collection, model, dimensions, chunk_tokens, chunk_overlap, missed)
		 SELECT tenant, id, 'n', 2, 10, 0, 5 FROM collections`,
		`INSERT INTO documents (tenant, id, collection, key, state, newest_version)
		 SELECT tenant, `+document+`, id, 'a', 'ready', 1 FROM collections`,
		`INSERT INTO versions (tenant, document, version, title, metadata, object, size, sha256, media_type, tag)
		 SELECT tenant, id, 1, '', '{"lang": "en"}', 'default/o', 10, 'hash', 'text/plain', 'etag' FROM documents`,
		`INSERT INTO manifest (tenant, document, version, space, ordinal, hash, start_byte, end_byte)
		 SELECT tenant, id, 1, 1, 0, sha256(''), 0, 4 FROM documents`,
		`INSERT INTO placements (tenant, document, version, space, passages, left_out)
		 SELECT tenant, id, 1, space, 2 - space, CASE space WHEN 2 THEN 'too long' END FROM documents, generate_series(1, 2) space`,
		`UPDATE documents SET live_version = 1`,
		`INSERT INTO jobs (tenant, id, document, version, size, state) SELECT tenant, '`+storetest.RenamedJob+`', id, 1, 10, 'running' FROM documents`,
		`INSERT INTO tasks (tenant, job, kind, document, version, state, asked)
		 SELECT tenant, id, kind, document, 1, CASE kind WHEN 'knowledge' THEN 'succeeded' ELSE 'queued' END, kind = 'summary'
		 FROM jobs, unnest('{knowledge,summary}'::text[]) AS kind`,
		`INSERT INTO reindexes (tenant, id, collection, change, from_space, to_space, model, dimensions, chunk_tokens, chunk_overlap, reached)
		 SELECT tenant, '`+storetest.RenamedReindex+`', id, 'model', 1, 2, 'n', 2, 10, 0, `+document+` FROM collections`,
		`UPDATE garbage SET reached = '{"stage": "spaces", "space": 1}'`,
		`INSERT INTO verifications (tenant, reached, documents, bytes, findings, started_at) VALUES ('default', `+document+`, 3, 30, 1, now())`,
	)
	before := functionRights(t, super)
	d.migrate(t)
	if diff := cmp.Diff(before, functionRights(t, super)); diff != "" {
		t.Errorf("owners, rights and settings of the functions (-before +after):\n%s", diff)
	}
	if old := queryTexts(t, super, `
		SELECT proname || ': ' || name[1]
		FROM pg_proc, regexp_matches(prosrc, '\m(live_version|live_space|placements|missed|asked|tag|reached)\M', 'g') AS name
		WHERE pronamespace = 'public'::regnamespace`); len(old) > 0 {
		t.Errorf("functions name what is no longer there: %q", old)
	}

	s, ctx := d.open(t), tenant.With(t.Context(), tenant.Default)
	storetest.CheckRenamedColumns(t, ctx, s)
	// Space 2 missed five versions before, and misses the one that was published.
	if missed := queryTexts(t, super, `SELECT missed_publications::text FROM spaces ORDER BY id`); !cmp.Equal(missed, []string{"0", "6"}) {
		t.Errorf("the spaces missed %q versions, want 0 and 6", missed)
	}
	if n := countRows(t, ctx, s, "space_versions WHERE space = 2 AND left_out = 'too long'"); n != 1 {
		t.Errorf("%d versions are left out of space 2, want 1", n)
	}
	dropPartition := func(space int) error {
		return s.InTenant(ctx, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "SELECT drop_partition($1)", space)
			return err
		})
	}
	if err := dropPartition(1); err == nil || !strings.Contains(err.Error(), "has no space 1 that could be dropped") {
		t.Errorf("dropping the table of the active space: got %v, want it refused", err)
	}
	if err := dropPartition(2); err != nil {
		t.Errorf("dropping the table of another space: %v", err)
	}
}

// functionRights returns what CREATE OR REPLACE is to keep of each function, except of protect,
// which did not exist in old schemas.
func functionRights(t *testing.T, super string) []string {
	t.Helper()
	return queryTexts(t, super, `
		SELECT concat_ws(' ', replace(proname, 'count_missed_publications', 'count_missed'), pg_get_function_arguments(p.oid), proowner::regrole,
		                 proacl, prosecdef, provolatile, proparallel, proconfig)
		FROM pg_proc p
		WHERE pronamespace = 'public'::regnamespace AND proname <> 'protect'
		  AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = p.oid AND deptype = 'e')
		ORDER BY 1`)
}
