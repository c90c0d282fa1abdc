package postgres_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/internal/test/await"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Going through the queue costs a task no more for what waits behind it, be it
// of its tenant or of another, whether or not PostgreSQL has ever analysed the
// table, and whether or not it knew of the other tenant then.
func TestDispatchCostsTheSameWhateverWaits(t *testing.T) {
	t.Parallel()
	for _, analysed := range []string{"never", "before the other tenant came", "at last"} {
		few, many := dispatchPages(t, 500, analysed), dispatchPages(t, 10_000, analysed)
		for id := range few {
			t.Logf("analysed %s, tenant %s: %d pages for a task with 500 waiting, %d with 10,000", analysed, id, few[id], many[id])
			const moving = 100 // pages, which dead entries and vacuum make more or less
			if many[id] > few[id]*3/2+moving {
				t.Error("that is more than half as many again")
			}
		}
	}
}

const otherTenant = "acme"

// dispatchPages returns how many pages of tasks and reindexes are read for each
// task that goes through the queue, by tenant: of the default one, which has so
// many documents, and of another with a few.
func dispatchPages(t *testing.T, waiting int, analysed string) map[string]int64 {
	t.Helper()
	const tasks, window = 40, 24
	d := preparedDatabase(t)
	d.migrate(t)
	s := d.open(t)
	execute(t, d.owner, `INSERT INTO tenants (id) VALUES ($1)`, otherTenant)
	for _, id := range []string{tenant.Default, otherTenant} {
		documents := waiting
		if id == otherTenant {
			documents = 3 * tasks
		}
		if _, err := s.EnsureCollection(tenant.With(t.Context(), id), "c", document.Model{Name: "m", Dimensions: 2}, document.Chunking{Tokens: 10}); err != nil {
			t.Fatal(err)
		}
		queueDocuments(t, d.owner, id, documents)
		if analysed == "at last" || analysed != "never" && id == tenant.Default {
			execute(t, d.owner, `ANALYZE tasks, reindexes`)
		}
	}
	conn := connect(t, d.owner)
	defer conn.Close(context.Background())
	pages := func() (n, updates int64) {
		t.Helper()
		if err := conn.QueryRow(t.Context(), `
			SELECT sum(heap_blks_read + heap_blks_hit + idx_blks_read + idx_blks_hit)::bigint, sum(n_tup_upd)::bigint
			FROM pg_statio_user_tables JOIN pg_stat_user_tables USING (relid, relname)
			WHERE relname IN ('tasks', 'reindexes')`).Scan(&n, &updates); err != nil {
			t.Fatal(err)
		}
		return n, updates
	}
	perTask := map[string]int64{}
	for _, id := range []string{tenant.Default, otherTenant} {
		s, ctx := d.open(t), tenant.With(t.Context(), id)
		windows := map[task.Kind]int{task.KindKnowledge: window, task.KindSummary: window}
		dispatched, err := s.Dispatch(ctx, windows)
		if err != nil || len(dispatched) != 2*window {
			t.Fatalf("dispatched %d, %v", len(dispatched), err)
		}
		before, updatesBefore := pages()
		for i := range tasks {
			work, err := s.Claim(ctx, dispatched[i].Ref, time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.RecordOutcome(ctx, work, task.Outcome{Verdict: task.VerdictFail}); err != nil {
				t.Fatal(err)
			}
			if next, err := s.Dispatch(ctx, windows); err != nil || len(next) != 1 {
				t.Fatalf("dispatched %d, %v", len(next), err)
			}
			if due, err := s.RedispatchOverdue(ctx, time.Hour, 100); err != nil || len(due) != 0 {
				t.Fatalf("due are %v, %v", due, err)
			}
		}
		s.Close() // what its connections have counted shows
		await.Until(t, fmt.Sprintf("%d updates are counted", 3*tasks), func() bool {
			_, updates := pages()
			return updates >= updatesBefore+3*tasks
		})
		after, _ := pages()
		perTask[id] = (after - before) / tasks
	}
	return perTask
}
