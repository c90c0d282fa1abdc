package postgres_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/backend/postgres"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/internal/test/await"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// What a search looks up of its collection, and what the sweep looks up of what
// is to go, costs no more for what stands elsewhere: in another collection, in
// another tenant, or for later. Statements run often enough to be planned once
// for all their parameters.
func TestCostFollowsWhatIsTouched(t *testing.T) {
	t.Parallel()
	const rows = 10000
	d := preparedDatabase(t)
	d.migrate(t)
	for _, statement := range []string{
		`INSERT INTO collections (tenant, id, name) SELECT 'default', gen_random_uuid(), name FROM unnest('{empty,full}'::text[]) AS name`,
		`INSERT INTO spaces (tenant, collection, model, dimensions, chunk_tokens, chunk_overlap) SELECT tenant, id, 'm', 2, 10, 0 FROM collections`,
		`UPDATE collections c SET active_space = s.id FROM spaces s WHERE s.collection = c.id`,
		`INSERT INTO manifest (tenant, document, version, space, ordinal, hash, start_byte, end_byte)
		 SELECT tenant, gen_random_uuid(), 1, active_space, 0, sha256(n::text::bytea), 0, 1
		 FROM collections, generate_series(1, 10000) n WHERE name = 'full'`,
		`SET session_replication_role = replica;
		 INSERT INTO space_versions (tenant, document, version, space, passages) SELECT tenant, document, version, space, 1 FROM manifest`,
		`INSERT INTO released_sections (tenant, node, released_at)
		 SELECT id, sha256(n::text::bytea), now() + (CASE id WHEN 'default' THEN '1 day' ELSE '-1 day' END)::interval
		 FROM tenants, generate_series(1, 10000) n`,
		`INSERT INTO idempotency_keys (tenant, key, fingerprint, answer) SELECT 'default', n, '', '{}' FROM generate_series(1, 10000) n`,
		`INSERT INTO reindexes (tenant, id, collection, change, from_space, to_space, model, dimensions, chunk_tokens, chunk_overlap, state)
		 SELECT tenant, gen_random_uuid(), id, 'model', n, n + 10000, 'm', 2, 10, 0, 'succeeded' FROM collections, generate_series(1, 10000) n WHERE name = 'full'`,
		`ANALYZE manifest, space_versions, released_sections, idempotency_keys, reindexes`,
	} {
		execute(t, d.owner, statement)
	}
	conn := connect(t, d.owner)
	defer conn.Close(context.Background())
	const tables = ` WHERE relname IN ('manifest', 'space_versions', 'released_sections', 'idempotency_keys', 'reindexes')`
	sum := func(query string) (n int64) {
		t.Helper()
		if err := conn.QueryRow(t.Context(), query+tables).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	scans := func() int64 { return sum(`SELECT sum(seq_scan + idx_scan)::bigint FROM pg_stat_user_tables`) }
	pages := func() int64 {
		return sum(`SELECT sum(heap_blks_read + heap_blks_hit + idx_blks_read + idx_blks_hit)::bigint FROM pg_statio_user_tables`)
	}
	s, ctx := d.open(t), tenant.With(t.Context(), tenant.Default)
	const times = 8
	scansBefore, pagesBefore := scans(), pages()
	for range times {
		if c, err := s.Collection(ctx, "empty"); err != nil || !c.SpaceReplaceable {
			t.Fatalf("collection %+v, %v", c, err)
		}
		if looked, err := s.DeleteUnusedSectionSummaries(ctx, time.Hour, 10); err != nil || looked != 0 {
			t.Fatalf("looked at %d section summaries, %v", looked, err)
		}
		if dropped, err := s.DeleteExpiredIdempotencyKeys(ctx, time.Hour, 10); err != nil || dropped != 0 {
			t.Fatalf("dropped %d idempotency keys, %v", dropped, err)
		}
	}
	if c, err := s.Collection(ctx, "full"); err != nil || c.SpaceReplaceable {
		t.Errorf("collection %+v, %v", c, err)
	}
	s.Close() // what its connections have counted shows
	await.Until(t, "the scans are counted", func() bool { return scans() >= scansBefore+3*times })
	n := pages() - pagesBefore
	if n > 3*times*10 { // a table has more than a hundred
		t.Errorf("%d pages were read for %d statements, of tables of %d rows", n, 3*times, rows)
	}
}

// What a list reads does not follow how many documents and jobs there are, however
// few of them match, and however deep the page is.
func TestListsReadWhatTheyShow(t *testing.T) {
	t.Parallel()
	d := preparedDatabase(t)
	d.migrate(t)
	for _, statement := range []string{
		`INSERT INTO collections (tenant, id, name) SELECT t.id, gen_random_uuid(), name FROM tenants t, unnest('{few,many}'::text[]) AS name`,
		`INSERT INTO spaces (tenant, collection, model, dimensions, chunk_tokens, chunk_overlap) SELECT tenant, id, 'm', 2, 10, 0 FROM collections`,
		`UPDATE collections c SET active_space = s.id FROM spaces s WHERE s.collection = c.id`,
		`ALTER TABLE documents SET (autovacuum_enabled = false)`, // which would be counted
		`ALTER TABLE versions SET (autovacuum_enabled = false)`,
		`ALTER TABLE jobs SET (autovacuum_enabled = false)`,
		`ALTER TABLE tasks SET (autovacuum_enabled = false)`,
	} {
		execute(t, d.owner, statement)
	}
	small, large := 1000, 10000
	fillLists(t, d, 1, small)
	s := d.open(t)
	lists := listsOfFew()
	before := make(map[string]int64, len(lists))
	for name, list := range lists {
		before[name] = pagesReadByGenericPlan(t, d, s, list)
	}
	fillLists(t, d, small+1, large)
	for name, list := range lists {
		if pages := pagesReadByGenericPlan(t, d, s, list); pages > before[name]*3/2+10 {
			t.Errorf("%s: %d pages are read of %d documents, and %d of %d", name, before[name], small, pages, large)
		}
	}
}

// What a search under a filter reads follows how many documents match, by key prefix
// or metadata, and not how many there are.
func TestFilteredSearchReadsWhatMatches(t *testing.T) {
	t.Parallel()
	d := preparedDatabase(t)
	d.migrate(t)
	for _, statement := range []string{
		`INSERT INTO collections (tenant, id, name) VALUES ('default', gen_random_uuid(), 'c')`,
		`INSERT INTO spaces (tenant, collection, model, dimensions, chunk_tokens, chunk_overlap, indexed) SELECT tenant, id, 'm', 2, 10, 0, true FROM collections`,
		`UPDATE collections c SET active_space = s.id FROM spaces s WHERE s.collection = c.id`,
		`SELECT set_config('gristmill.tenant', 'default', false), add_partition(id) FROM spaces`,
		`INSERT INTO passages (tenant, space, hash, tokens, embedding, heading_path, context, content)
		 SELECT tenant, id, sha256(''), 1, '[1,0]', '{H}', '', 'text' FROM spaces`,
		`ALTER TABLE documents SET (autovacuum_enabled = false)`, // which would be counted
		`ALTER TABLE versions SET (autovacuum_enabled = false)`,
		`ALTER TABLE manifest SET (autovacuum_enabled = false)`,
		`ALTER TABLE document_fields SET (autovacuum_enabled = false)`,
	} {
		execute(t, d.owner, statement)
	}
	add := func(from, to int) {
		t.Helper()
		for _, statement := range []string{
			fmt.Sprintf(`
				INSERT INTO documents (tenant, id, collection, key, state, newest_version)
				SELECT c.tenant, gen_random_uuid(), c.id, CASE WHEN n <= 4 THEN 'few/' ELSE 'many/' END || n, 'ready', 1
				FROM collections c, generate_series(%d, %d) n`, from, to),
			`INSERT INTO versions (tenant, document, version, title, metadata, object, size, sha256, media_type)
			 SELECT tenant, id, 1, '', jsonb_build_object('prefix', split_part(key, '/', 1), 'all', true, 'in', jsonb_build_object('all', true)), id, 1, '', ''
			 FROM documents d WHERE published_version IS NULL`,
			`INSERT INTO manifest (tenant, document, version, space, ordinal, hash, start_byte, end_byte)
			 SELECT d.tenant, d.id, 1, c.active_space, 0, sha256(CASE WHEN key LIKE 'few/%' THEN '' ELSE key END::bytea), 0, 4
			 FROM documents d JOIN collections c ON c.id = d.collection WHERE published_version IS NULL`,
			// Without these each publication would be counted as missed, in the one row of spaces.
			`INSERT INTO space_versions (tenant, document, version, space, passages)
			 SELECT d.tenant, d.id, 1, c.active_space, 1 FROM documents d JOIN collections c ON c.id = d.collection WHERE published_version IS NULL`,
			`UPDATE documents SET published_version = 1 WHERE published_version IS NULL`,
			`VACUUM ANALYZE documents, versions, manifest, document_fields`,
		} {
			execute(t, d.owner, statement)
		}
	}
	small, large := 2000, 20000
	add(1, small)
	s := d.open(t)
	queries := []vector.Query{{KeyPrefix: "few/"}, {KeyPrefix: "none/"}}
	for _, metadata := range []string{`{"prefix":"few"}`, `{"prefix":"few","all":true}`, `{"prefix":"few","in":{"all":true}}`, `{"prefix":"none","all":true}`} {
		queries = append(queries, vector.Query{Metadata: json.RawMessage(metadata)}, vector.Query{Metadata: json.RawMessage(metadata), KeyPrefix: "few/"})
	}
	read := func(query vector.Query) int64 {
		t.Helper()
		query.Vector, query.Limit, query.Threshold = []float32{1, 0}, 10, -1
		return pagesReadByGenericPlan(t, d, s, func(ctx context.Context, s *postgres.Store) error {
			c, err := s.Collection(ctx, "c")
			if err != nil {
				return err
			}
			_, err = s.NearestPassages(ctx, c.ActiveSpace, query)
			return err
		})
	}
	var before []int64
	for _, query := range queries {
		before = append(before, read(query))
	}
	add(small+1, large)
	for i, query := range queries {
		if pages := read(query); pages > before[i]*3/2+15 {
			t.Errorf("prefix %q, metadata %s: %d pages are read of %d documents, and %d of %d", query.KeyPrefix, query.Metadata, before[i], small, pages, large)
		}
	}
}

// fillLists adds documents from one number to another to each tenant, each with its
// job. The first are of the collection few, and have failed.
func fillLists(t *testing.T, d database, from, to int) {
	t.Helper()
	for _, statement := range []string{
		fmt.Sprintf(`
			INSERT INTO documents (tenant, id, collection, key, state, published_version, newest_version)
			SELECT c.tenant, ('0190' || lpad(to_hex(n), 8, '0') || '70008000' || substr(md5(c.tenant), 1, 12))::uuid, c.id, 'docs/' || n,
			       CASE WHEN n <= 4 THEN 'failed' ELSE 'ready' END, 1, 1
			FROM generate_series(%d, %d) n
			JOIN collections c ON c.name = CASE WHEN n <= 3 THEN 'few' ELSE 'many' END`, from, to),
		`INSERT INTO versions (tenant, document, version, title, metadata, object, size, sha256, media_type)
		 SELECT tenant, id, 1, '', '{}', id, 1, '', '' FROM documents d WHERE NOT EXISTS (SELECT FROM versions v WHERE v.document = d.id)`,
		`INSERT INTO jobs (tenant, id, document, version, size, state, collection)
		 SELECT tenant, id, id, 1, 1, CASE state WHEN 'ready' THEN 'succeeded' ELSE 'failed' END, collection
		 FROM documents d WHERE NOT EXISTS (SELECT FROM jobs j WHERE j.document = d.id)`,
		`INSERT INTO tasks (tenant, job, kind, document, version, state)
		 SELECT tenant, id, kind, id, 1, state FROM jobs j, unnest('{knowledge,summary}'::text[]) AS kind
		 WHERE NOT EXISTS (SELECT FROM tasks t WHERE t.document = j.document)`,
		`VACUUM ANALYZE documents, versions, jobs, tasks`,
	} {
		execute(t, d.owner, statement)
	}
}

// listsOfFew returns lists of at most four items, and second pages of two.
func listsOfFew() map[string]func(ctx context.Context, s *postgres.Store) error {
	lists := make(map[string]func(ctx context.Context, s *postgres.Store) error)
	page := func(cursor string) document.Page { return document.Page{Limit: 2, Cursor: cursor} }
	for _, filter := range []document.DocumentFilter{
		{}, {Collection: "few"}, {Collection: "many"}, {Collection: "none"}, {State: document.DocumentFailed}, {State: document.DocumentPending}, {State: document.DocumentReady},
		{Collection: "few", State: document.DocumentReady}, {Collection: "many", State: document.DocumentFailed},
		{KeyPrefix: "docs/"}, {KeyPrefix: "docs/4"}, {KeyPrefix: "e"}, {KeyPrefix: "docs/", State: document.DocumentFailed},
		{Collection: "few", KeyPrefix: "docs/"}, {Collection: "many", KeyPrefix: "docs/", State: document.DocumentFailed}, {Collection: "many", KeyPrefix: "docs/4"},
	} {
		lists[fmt.Sprintf("documents %+v", filter)] = func(ctx context.Context, s *postgres.Store) error {
			list, err := s.Documents(ctx, filter, page(""))
			if err == nil && list.NextCursor != "" {
				_, err = s.Documents(ctx, filter, page(list.NextCursor))
			}
			return err
		}
	}
	for _, filter := range []document.JobFilter{
		{}, {Collection: "few"}, {Collection: "many"}, {Collection: "none"}, {State: document.JobFailed}, {State: document.JobQueued},
		{Collection: "few", State: document.JobSucceeded}, {Collection: "many", State: document.JobFailed},
		{DocumentID: uuid.MustParse("01900000-0001-7000-8000-c21f969b5f03")},
	} {
		lists[fmt.Sprintf("jobs %+v", filter)] = func(ctx context.Context, s *postgres.Store) error {
			list, err := s.Jobs(ctx, filter, page(""))
			if err == nil && list.NextCursor != "" {
				_, err = s.Jobs(ctx, filter, page(list.NextCursor))
			}
			return err
		}
	}
	return lists
}

// pagesReadByGenericPlan returns how many pages of tables and indexes a call reads, once it was
// made as often as it takes to have PostgreSQL plan its statements once for all
// parameters if it ever will.
func pagesReadByGenericPlan(t *testing.T, d database, s *postgres.Store, call func(ctx context.Context, s *postgres.Store) error) int64 {
	t.Helper()
	ctx := tenant.With(t.Context(), tenant.Default)
	calls := func(n int) (pages int64) {
		t.Helper()
		for range n {
			if err := call(ctx, s); err != nil {
				t.Fatal(err)
			}
		}
		var counted string
		if err := s.QueryPooledConn(ctx, `SELECT pg_stat_force_next_flush()::text`, &counted); err != nil {
			t.Fatal(err)
		}
		pages, err := strconv.ParseInt(queryTexts(t, d.owner, `
			SELECT sum(heap_blks_read + heap_blks_hit + coalesce(idx_blks_read + idx_blks_hit, 0))::text FROM pg_statio_user_tables`)[0], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return pages
	}
	before := calls(8)
	pages := calls(1) - before
	if pages == 0 {
		t.Fatal("nothing was counted")
	}
	return pages
}
