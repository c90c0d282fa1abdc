package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/backend/postgres"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/internal/test/await"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// newCrowdedDatabase returns a database with n documents of a version and ten passages each,
// and n entries on every list, none of which is due.
func newCrowdedDatabase(t *testing.T, n int) (d database) {
	t.Helper()
	d = preparedDatabase(t)
	d.migrate(t)
	for _, statement := range []string{
		`CREATE FUNCTION n() RETURNS integer LANGUAGE sql AS 'SELECT count FROM wanted'`,
		`INSERT INTO collections (tenant, id, name) VALUES ('default', gen_random_uuid(), 'c')`,
		`INSERT INTO spaces (tenant, collection, model, dimensions, chunk_tokens, chunk_overlap) SELECT tenant, id, 'm', 2, 10, 0 FROM collections`,
		`UPDATE collections c SET active_space = s.id FROM spaces s WHERE s.collection = c.id`,
		`SELECT set_config('gristmill.tenant', 'default', false), add_partition(id) FROM spaces`,
		`INSERT INTO documents (tenant, id, collection, key, state, newest_version, published_version)
		 SELECT tenant, gen_random_uuid(), id, i, 'ready', 1, 1 FROM collections, generate_series(1, n()) i`,
		`INSERT INTO versions (tenant, document, version, title, metadata, object, size, sha256, media_type)
		 SELECT tenant, id, 1, '', '{}', id, 10, '', '' FROM documents`,
		`INSERT INTO manifest (tenant, document, version, space, ordinal, hash, start_byte, end_byte)
		 SELECT 'default', d.id, 1, s.id, i, sha256((d.key || ' ' || i)::bytea), i, i + 1 FROM documents d, spaces s, generate_series(0, 9) i`,
		`INSERT INTO passages (tenant, space, hash, tokens, embedding, heading_path, context, content)
		 SELECT tenant, space, hash, 1, '[1,0]', '{}', '', 'text' FROM manifest`,
		`INSERT INTO jobs (tenant, id, document, version, size, state, finished_at)
		 SELECT tenant, gen_random_uuid(), document, version, size, 'succeeded', now() - interval '1 year' FROM versions`,
		`INSERT INTO garbage (tenant, kind, document, version, due_at) SELECT tenant, 'version', id, 2, now() + interval '1 hour' FROM documents`,
		`INSERT INTO uploads (tenant, object) SELECT tenant, 'young ' || object FROM versions`,
		`INSERT INTO released_sections (tenant, node) SELECT DISTINCT tenant, hash FROM manifest WHERE ordinal = 0`,
		`INSERT INTO idempotency_keys (tenant, key, fingerprint, answer) SELECT 'default', i, '', '{}' FROM generate_series(1, n()) i`,
		`INSERT INTO webhooks (tenant, id, url, secret) VALUES ('default', gen_random_uuid(), '', '')`,
		`INSERT INTO deliveries (tenant, id, webhook, event, job, document, body, state, ended_at)
		 SELECT tenant, gen_random_uuid(), id, '', gen_random_uuid(), gen_random_uuid(), '', 'delivered', now() FROM webhooks, generate_series(1, n())`,
		`DELETE FROM garbage WHERE kind = 'search'`,
		`VACUUM ANALYZE`,
	} {
		if statement[:6] == "CREATE" {
			execute(t, d.owner, `CREATE TABLE wanted AS SELECT $1::integer AS count`, n)
		}
		execute(t, d.owner, statement)
	}
	return d
}

// readDocumentStates reads every list for what is due, as the collection of garbage does.
func readDocumentStates(t *testing.T, ctx context.Context, s *postgres.Store) {
	t.Helper()
	due, err := s.Garbage(ctx, 0, 100)
	if err != nil || len(due) > 0 {
		t.Fatalf("got garbage %+v, %v, want none", due, err)
	}
	for what, drop := range map[string]func(context.Context, time.Duration, int) (int, error){
		"uploads": s.ExpireUploads, "sections": s.DeleteUnusedSectionSummaries, "keys": s.DeleteExpiredIdempotencyKeys, "deliveries": s.DeleteEndedDeliveries,
	} {
		if n, err := drop(ctx, 24*time.Hour, 1000); err != nil || n > 0 {
			t.Fatalf("dropped %d %s, %v, want none", n, what, err)
		}
	}
}

// pagesReadBy returns how many pages of all tables fn has read.
func pagesReadBy(t *testing.T, d database, fn func(ctx context.Context, s *postgres.Store)) int64 {
	t.Helper()
	return statisticGrowthBy(t, d, `
		SELECT sum(heap_blks_read + heap_blks_hit + coalesce(idx_blks_read + idx_blks_hit, 0)
			+ coalesce(toast_blks_read + toast_blks_hit, 0))::bigint
		FROM pg_statio_user_tables`, fn)
}

// rowsReadBy returns how many rows of a table fn has read.
func rowsReadBy(t *testing.T, d database, table string, fn func(ctx context.Context, s *postgres.Store)) int64 {
	t.Helper()
	return statisticGrowthBy(t, d, `SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables WHERE relname = '`+table+`'`, fn)
}

// statisticGrowthBy returns by how much a number of PostgreSQL's statistics has grown
// through fn.
func statisticGrowthBy(t *testing.T, d database, count string, fn func(ctx context.Context, s *postgres.Store)) int64 {
	t.Helper()
	conn := connect(t, d.owner)
	defer conn.Close(context.Background())
	sum := func(query string) (n int64) {
		t.Helper()
		if err := conn.QueryRow(t.Context(), query).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	const scans = `SELECT sum(seq_scan + idx_scan)::bigint FROM pg_stat_user_tables WHERE relname = 'webhooks'`
	s, ctx := d.open(t), tenant.With(t.Context(), tenant.Default)
	if err := s.Ping(ctx); err != nil { // reads the version of the schema
		t.Fatal(err)
	}
	before, scansBefore := sum(count), sum(scans)
	fn(ctx, s)
	if _, err := s.Webhooks(ctx, document.Page{Limit: 1}); err != nil { // the last scan that is waited for
		t.Fatal(err)
	}
	s.Close() // what its connections have counted shows
	await.Until(t, "the scans are counted", func() bool { return sum(scans) > scansBefore })
	return sum(count) - before
}

// A collection with nothing to do reads a few pages, whatever there is: documents,
// passages, and what is listed for later.
func TestCollectionWithNothingToDoReadsLittle(t *testing.T) {
	t.Parallel()
	const n, times = 1000, 8
	var read [2]int64
	for i, n := range []int{n, 10 * n} {
		d := newCrowdedDatabase(t, n)
		read[i] = pagesReadBy(t, d, func(ctx context.Context, s *postgres.Store) {
			for range times {
				readDocumentStates(t, ctx, s)
			}
		})
	}
	t.Logf("%d looks read %d pages of %d documents and %d of %d", times, read[0], n, read[1], 10*n)
	if read[1] > read[0]*6/5+times || read[1] > 40*times {
		t.Errorf("%d looks read %d pages of %d documents and %d of %d", times, read[0], n, read[1], 10*n)
	}
}

// Sections are spared for summaries that wait, of which only the oldest is looked
// for.
func TestDroppingSectionsReadsLittleOfWhatWaits(t *testing.T) {
	t.Parallel()
	var read [2]int64
	sizes := [2]int{500, 5000}
	for i, n := range sizes {
		d := newCrowdedDatabase(t, n)
		execute(t, d.owner, `INSERT INTO tasks (tenant, job, kind, document, version) SELECT tenant, id, 'summary', document, version FROM jobs`)
		execute(t, d.owner, `UPDATE released_sections SET released_at = now() - interval '1 year'`)
		execute(t, d.owner, `VACUUM ANALYZE`)
		read[i] = pagesReadBy(t, d, func(ctx context.Context, s *postgres.Store) {
			if n, err := s.DeleteUnusedSectionSummaries(ctx, 24*time.Hour, 1); err != nil || n != 1 {
				t.Fatalf("looked at %d sections, %v; want 1", n, err)
			}
		})
	}
	if read[1] > read[0]+20 {
		t.Errorf("%d pages are read while %d summaries wait, and %d while %d do", read[0], sizes[0], read[1], sizes[1])
	}
}

// What was removed from the lists is not read past for ever.
func TestCollectionAfterMuchReadsLittle(t *testing.T) {
	t.Parallel()
	d := newCrowdedDatabase(t, 1000)
	execute(t, d.owner, `INSERT INTO garbage (tenant, kind, object) SELECT 'default', 'object', i FROM generate_series(1, 20000) i`)
	const times = 8
	read := pagesReadBy(t, d, func(ctx context.Context, s *postgres.Store) {
		for {
			due, err := s.Garbage(ctx, 0, 2000)
			if err == nil {
				err = s.DeleteGarbageEntries(ctx, due...)
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(due) == 0 {
				break
			}
		}
	})
	t.Logf("removing them read %d pages", read)
	read = pagesReadBy(t, d, func(ctx context.Context, s *postgres.Store) {
		for range times {
			readDocumentStates(t, ctx, s)
		}
	})
	t.Logf("%d looks read %d pages", times, read)
	// Until they are vacuumed, the 20,000 dead entries stand in some 240 pages of
	// the index, and are known to be dead there: their rows are not read again.
	if read > 20000 {
		t.Errorf("%d looks read %d pages", times, read)
	}
	execute(t, d.owner, `VACUUM garbage`)
	read = pagesReadBy(t, d, func(ctx context.Context, s *postgres.Store) {
		for range times {
			readDocumentStates(t, ctx, s)
		}
	})
	if read > 60*times {
		t.Errorf("vacuumed: %d looks read %d pages", times, read)
	}
}
