package postgres_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/internal/test/await"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// A statement is planned for all its parameters after some calls, when there is
// next to nothing in a new database, and that plan is kept until the tables are
// first analysed. What each upload and each task ask for costs no more by then.
func TestPlanOfANewDatabaseHoldsWhenItIsFull(t *testing.T) {
	t.Parallel()
	const rows, times = 5000, 8
	d := preparedDatabase(t)
	d.migrate(t)
	for _, table := range []string{"documents", "versions", "jobs", "tasks", "manifest"} {
		execute(t, d.owner, `ALTER TABLE `+table+` SET (autovacuum_enabled = false)`)
	}
	s, ctx := d.open(t), tenant.With(t.Context(), tenant.Default)
	c, err := s.EnsureCollection(ctx, "c", document.Model{Name: "m", Dimensions: 1536}, document.Chunking{Tokens: 10})
	if err != nil {
		t.Fatal(err)
	}
	hashes := make([]document.ContentHash, 20)
	for i := range hashes {
		hashes[i] = document.HashText(fmt.Sprint("looked up ", i))
	}
	take := func(key string, atOnce bool) {
		t.Helper()
		if known, err := s.ReusePassages(ctx, c.ActiveSpace, hashes); err != nil || len(known) > 0 {
			t.Fatalf("known %v, %v", known, err)
		}
		accepted, err := upload(ctx, s, original.Upload{Collection: c, Key: key})
		if err != nil {
			t.Fatal(err)
		}
		work, err := s.Claim(ctx, task.Ref{DocumentID: accepted.Document.ID, Version: 1, Kind: task.KindKnowledge}, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		passage := vector.EmbeddedPassage{Hash: document.HashText(key), PassageText: document.PassageText{Content: key, Tokens: 1}, Vector: make([]float32, 1536)}
		batch := vector.Batch{New: []vector.EmbeddedPassage{passage}, Entries: []vector.ManifestEntry{{Hash: passage.Hash, End: 1}}}
		progress := document.KnowledgeProgress{Passages: 1}
		if atOnce {
			_, err = s.WriteAndPublish(ctx, work, batch, progress)
		} else if err = s.WriteBatch(ctx, work, batch, progress); err == nil {
			err = s.Publish(ctx, work, nil, progress)
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Job(ctx, accepted.Job.ID); err != nil {
			t.Fatal(err)
		}
	}
	for i := range times {
		take(fmt.Sprint("before ", i), false)
		take(fmt.Sprint("before, at once ", i), true)
	}
	for _, statement := range []string{
		`INSERT INTO documents (tenant, id, collection, key, state, newest_version)
		 SELECT tenant, gen_random_uuid(), collection, 'n' || n, 'pending', 1 FROM (SELECT * FROM documents LIMIT 1) d, generate_series(1, 5000) n`,
		`INSERT INTO versions (tenant, document, version, title, metadata, object, size, sha256, media_type)
		 SELECT v.tenant, d.id, 1, '', v.metadata, 'n' || d.id, v.size, v.sha256, v.media_type
		 FROM documents d, (SELECT * FROM versions LIMIT 1) v WHERE d.key LIKE 'n%'`,
		`INSERT INTO jobs (tenant, id, document, version, size) SELECT tenant, gen_random_uuid(), id, 1, 0 FROM documents WHERE key LIKE 'n%'`,
		`INSERT INTO tasks (tenant, job, kind, document, version)
		 SELECT tenant, id, kind, document, version FROM jobs, unnest('{knowledge,summary}'::text[]) kind WHERE id NOT IN (SELECT job FROM tasks)`,
		`INSERT INTO manifest (tenant, document, version, space, ordinal, hash, start_byte, end_byte)
		 SELECT d.tenant, d.id, 1, c.active_space, 0, sha256(d.id::text::bytea), 0, 1 FROM documents d, collections c WHERE d.key LIKE 'n%'`,
		`INSERT INTO shared_passages (tenant, space, hash, tokens, embedding, heading_path, context, content)
		 SELECT tenant, active_space, sha256(n::text::bytea), 1, array_fill(1::real, '{1536}')::halfvec, '{}', '', repeat('x', 400) FROM collections, generate_series(1, 5000) n`,
	} {
		execute(t, d.owner, statement)
	}
	conn := connect(t, d.owner)
	defer conn.Close(context.Background())
	const tables = ` WHERE relname IN ('manifest', 'tasks', 'versions', 'shared_passages')`
	sum := func(query string) (n int64) {
		t.Helper()
		if err := conn.QueryRow(t.Context(), query+tables).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	const pages = `SELECT sum(heap_blks_read + heap_blks_hit + idx_blks_read + idx_blks_hit)::bigint FROM pg_statio_user_tables`
	const scanned = `SELECT sum(seq_tup_read)::bigint FROM pg_stat_user_tables`
	before, scannedBefore := sum(pages), sum(scanned)
	for i := range times {
		take(fmt.Sprint("after ", i), false)
		take(fmt.Sprint("after, at once ", i), true)
	}
	s.Close()
	awaitCounts(t, conn, d.role)
	n := sum(pages) - before
	if n > 400*2*times { // a hash that is nowhere is asked for in two indexes
		t.Errorf("%d pages of manifest, tasks and passages were read for each document that was accepted, claimed and looked up, with %d others there", n/(2*times), rows)
	}
	if n := sum(scanned) - scannedBefore; n > 0 {
		t.Errorf("%d rows of manifest, tasks, versions and passages were read without an index", n)
	}
}

// A table of passages that vacuum has found empty, since a large space has moved
// out, is planned for as the large one that it may be again.
func TestPlanOfAnEmptiedTableHoldsWhenItFills(t *testing.T) {
	t.Parallel()
	d, s, ctx, c := withCollection(t, 1536)
	fill := func() {
		execute(t, d.owner, `
			INSERT INTO shared_passages (tenant, space, hash, tokens, embedding, heading_path, context, content)
			SELECT tenant, active_space, sha256(n::text::bytea), 1, array_fill(1::real, '{1536}')::halfvec, '{}', '', '' FROM collections, generate_series(1, 500) n`)
	}
	lookUp := func() {
		for range 8 { // after some calls the plan is one for all parameters
			if known, err := s.ReusePassages(ctx, c.ActiveSpace, []document.ContentHash{document.HashText("nowhere")}); err != nil || len(known) > 0 {
				t.Fatalf("known %v, %v", known, err)
			}
		}
	}
	fill()
	execute(t, d.owner, `DELETE FROM shared_passages`)
	execute(t, d.owner, `VACUUM (ANALYZE) shared_passages`)
	lookUp()
	fill()
	lookUp()
	s.Close()
	conn := connect(t, d.owner)
	defer conn.Close(context.Background())
	awaitCounts(t, conn, d.role)
	var rows int64
	if err := conn.QueryRow(t.Context(), `SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'shared_passages'`).Scan(&rows); err != nil {
		t.Fatal(err)
	}
	if rows > 1000 { // the statements of the test read those that are there
		t.Errorf("%d passages were read without an index", rows)
	}
}

// awaitCounts waits until the connections of a role are gone: what they have
// counted shows then.
func awaitCounts(t *testing.T, conn *pgx.Conn, role string) {
	t.Helper()
	await.Until(t, "the connections are gone", func() (gone bool) {
		if err := conn.QueryRow(t.Context(), `SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE usename = $1)`, role).Scan(&gone); err != nil {
			t.Fatal(err)
		}
		return gone
	})
}
