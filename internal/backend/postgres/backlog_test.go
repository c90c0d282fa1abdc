package postgres_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Folding the rows of the backlog loses and doubles nothing of what is added
// meanwhile, and leaves few.
func TestBacklogIsFoldedWhileItGrows(t *testing.T) {
	t.Parallel()
	d, s, ctx, c := withCollection(t, 2)
	const rows, uploads, readers = 3000, 10, 4
	execute(t, d.owner, `INSERT INTO backlog (tenant, jobs, bytes) SELECT 'default', 1, 10 FROM generate_series(1, $1)`, rows)
	var group sync.WaitGroup
	for i := range readers {
		group.Go(func() {
			for range uploads {
				if _, err := s.Backlog(ctx); err != nil {
					t.Error(err)
				}
			}
		})
		group.Go(func() {
			for j := range uploads {
				if _, err := upload(ctx, s, original.Upload{Collection: c, Key: fmt.Sprint(i, j), Size: 100}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	got, err := s.Backlog(ctx)
	want := task.Backlog{Jobs: rows + readers*uploads, Bytes: 10*rows + 100*readers*uploads}
	if err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if left := countRows(t, ctx, s, "backlog"); left > readers*uploads+readers {
		t.Errorf("%d rows are left", left)
	}
}

// BenchmarkBacklog asks for a backlog of 100,000 jobs, of which one has been
// added since it was last asked for.
func BenchmarkBacklog(b *testing.B) {
	const waiting = 100_000
	d := preparedDatabase(b)
	d.migrate(b)
	s := d.open(b)
	ctx := tenant.With(context.Background(), tenant.Default)
	c, err := s.EnsureCollection(ctx, "c", document.Model{Name: "m", Dimensions: 2}, document.Chunking{Tokens: 10})
	if err != nil {
		b.Fatal(err)
	}
	queueDocuments(b, d.owner, tenant.Default, waiting)
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		if _, err := upload(ctx, s, original.Upload{Collection: c, Key: fmt.Sprint("new ", i), Size: 1}); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if got, err := s.Backlog(ctx); err != nil || got.Jobs != int64(waiting+i+1) {
			b.Fatalf("got %+v, %v", got, err)
		}
	}
}
