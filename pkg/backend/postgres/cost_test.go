package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/pkg/tenant"
	"github.com/seed-7a112592/gristmill/test/await"
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
		`UPDATE collections c SET live_space = s.id FROM spaces s WHERE s.collection = c.id`,
		`INSERT INTO manifest (tenant, document, version, space, ordinal, hash, start_byte, end_byte)
		 SELECT tenant, gen_random_uuid(), 1, live_space, 0, sha256(n::text::bytea), 0, 1
		 FROM collections, generate_series(1, 10000) n WHERE name = 'full'`,
		`INSERT INTO released_sections (tenant, node, released_at)
		 SELECT id, sha256(n::text::bytea), now() + (CASE id WHEN 'default' THEN '1 day' ELSE '-1 day' END)::interval
		 FROM tenants, generate_series(1, 10000) n`,
		`INSERT INTO idempotency_keys (tenant, key, fingerprint, answer) SELECT 'default', n, '', '{}' FROM generate_series(1, 10000) n`,
		`INSERT INTO reindexes (tenant, id, collection, change, from_space, to_space, model, dimensions, chunk_tokens, chunk_overlap, state)
		 SELECT tenant, gen_random_uuid(), id, 'model', n, n + 10000, 'm', 2, 10, 0, 'succeeded' FROM collections, generate_series(1, 10000) n WHERE name = 'full'`,
		`ANALYZE manifest, released_sections, idempotency_keys, reindexes`,
	} {
		execute(t, d.owner, statement)
	}
	conn := connect(t, d.owner)
	defer conn.Close(context.Background())
	const tables = ` WHERE relname IN ('manifest', 'released_sections', 'idempotency_keys', 'reindexes')`
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
		if c, err := s.Collection(ctx, "empty"); err != nil || !c.Unsettled {
			t.Fatalf("collection %+v, %v", c, err)
		}
		if looked, err := s.DropSections(ctx, time.Hour, 10); err != nil || looked != 0 {
			t.Fatalf("looked at %d section summaries, %v", looked, err)
		}
		if dropped, err := s.DropIdempotencyKeys(ctx, time.Hour, 10); err != nil || dropped != 0 {
			t.Fatalf("dropped %d idempotency keys, %v", dropped, err)
		}
	}
	if c, err := s.Collection(ctx, "full"); err != nil || c.Unsettled {
		t.Errorf("collection %+v, %v", c, err)
	}
	s.Close() // what its connections have counted shows
	await.Until(t, "the scans are counted", func() bool { return scans() >= scansBefore+3*times })
	n := pages() - pagesBefore
	if n > 3*times*8 {
		t.Errorf("%d pages were read for %d statements, of tables of %d rows", n, 3*times, rows)
	}
}
