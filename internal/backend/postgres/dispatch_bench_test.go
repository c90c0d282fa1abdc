package postgres_test

import (
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// queueDocuments queues n documents of a tenant in its only collection,
// each with both its tasks.
func queueDocuments(t testing.TB, owner, id string, documents int) {
	t.Helper()
	execute(t, owner, `
		WITH collection AS (
			SELECT id FROM collections WHERE tenant = $1
		), d AS (
			INSERT INTO documents (tenant, id, collection, key, state, newest_version)
			SELECT $1, gen_random_uuid(), c.id, n::text, 'pending', 1
			FROM collection c, generate_series(1, $2) n
			RETURNING id
		), v AS (
			INSERT INTO versions (tenant, document, version, title, metadata, object, size, sha256, media_type)
			SELECT $1, id, 1, '', '{}', '', 0, '', ''
			FROM d
			RETURNING document
		), j AS (
			INSERT INTO jobs (tenant, id, document, version, size)
			SELECT $1, gen_random_uuid(), document, 1, 0 FROM v
			RETURNING id, document
		)
		INSERT INTO tasks (tenant, job, kind, document, version)
		SELECT $1, j.id, kind, j.document, 1
		FROM j, unnest(ARRAY['knowledge', 'summary']) kind`, id, documents)
}

// BenchmarkDispatch dispatches the one task that another's end made room for,
// while 10,000 others wait for theirs.
func BenchmarkDispatch(b *testing.B) {
	const waiting, window = 10_000, 24
	d := preparedDatabase(b)
	d.migrate(b)
	store := d.open(b)
	ctx := tenant.With(b.Context(), tenant.Default)
	if _, err := store.EnsureCollection(ctx, "bench", document.Model{Name: "bench", Dimensions: 3}, document.Chunking{Tokens: 400}); err != nil {
		b.Fatal(err)
	}
	queueDocuments(b, d.owner, tenant.Default, waiting)
	dispatched, err := store.Dispatch(ctx, map[task.Kind]int{task.KindKnowledge: window})
	if err != nil || len(dispatched) != window {
		b.Fatalf("dispatched %d, %v", len(dispatched), err)
	}
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		work, err := store.Claim(ctx, dispatched[i].Ref, time.Hour)
		if err != nil {
			b.Fatal(err)
		}
		if err := store.RecordOutcome(ctx, work, task.Outcome{Verdict: task.VerdictFail}); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		next, err := store.Dispatch(ctx, map[task.Kind]int{task.KindKnowledge: window})
		if err != nil || len(next) != 1 {
			b.Fatalf("dispatched %d, %v", len(next), err)
		}
		dispatched = append(dispatched, next...)
	}
}
