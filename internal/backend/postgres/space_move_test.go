package postgres_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// wantMoved checks that the space has moved whole: all that was written stands in
// its own table, and nothing of it in the shared one.
func (g *largeStore) wantMoved(t *testing.T, documents int) {
	t.Helper()
	got := queryTexts(t, g.owner, fmt.Sprintf(`
		SELECT format('%%s %%s %%s %%s', (SELECT storage FROM spaces WHERE id = %[1]d), (SELECT count(*) FROM passages_%[1]d),
		              (SELECT count(*) FROM manifest m JOIN passages_%[1]d p ON p.space = m.space AND p.hash = m.hash),
		              (SELECT count(*) FROM shared_passages))`, g.collection.ActiveSpace.ID))[0]
	if want := fmt.Sprintf("own %d %d 0", 100*documents, 100*documents); got != want {
		t.Errorf("storage, passages in the own table, places with their passage, passages in the shared table: got %s, want %s", got, want)
	}
}

// A space moves to a table of its own while documents are written to it and it is
// searched, by several processes at once: no search misses what was published,
// and nothing is lost.
func TestMoveWhileTheSpaceIsUsed(t *testing.T) {
	t.Parallel()
	const before, during = 8, 12
	g, ctx := newLargeStore(t, before)
	var movers, users sync.WaitGroup
	done := make(chan struct{})
	users.Go(func() {
		for {
			if got := len(g.hits(t, ctx, g.collection.ActiveSpace, vector.Query{Vector: slices.Repeat([]float32{1}, largeStoreDimensions), Limit: 100 * (before + during)})); got < 100*before || got%100 != 0 {
				t.Errorf("a search found %d passages, want all of %d documents or more", got, before)
			}
			select {
			case <-done:
				return
			default:
			}
		}
	})
	for range 2 {
		movers.Go(func() {
			if err := g.MoveSpaceToOwnTable(ctx, g.collection.ActiveSpace); err != nil {
				t.Error(err)
			}
		})
	}
	for i := range during {
		g.add(t, ctx, fmt.Sprintf("a/during %d", i))
	}
	movers.Wait()
	close(done)
	users.Wait()
	g.wantMoved(t, before+during)
}

// A move that was cut short after any of its steps is finished by the next call,
// and meanwhile what is written, removed and searched is right.
func TestMoveIsFinishedAfterACrash(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"moving", "moved"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			g, ctx := newLargeStore(t, 2)
			space := g.collection.ActiveSpace.ID
			if err := g.MoveSpaceUntil(ctx, space, at); err != nil {
				t.Fatal(err)
			}
			g.add(t, ctx, "a/new")
			known, err := g.ReusePassages(ctx, g.collection.ActiveSpace, []document.ContentHash{document.HashText("passage 7 of a/0"), document.HashText("passage 7 of a/new")})
			if err != nil || len(known) != 2 {
				t.Errorf("known: %d of 2, %v", len(known), err)
			}
			if got := len(g.hits(t, ctx, g.collection.ActiveSpace, vector.Query{Vector: slices.Repeat([]float32{1}, largeStoreDimensions), Limit: 1000})); got != 300 {
				t.Errorf("a search found %d passages, want 300", got)
			}
			spaces, err := g.GrownSpaces(ctx, vector.MaintenanceMove, 100)
			if err != nil || len(spaces) != 1 {
				t.Errorf("to be finished: %d spaces, %v, want 1", len(spaces), err)
			}
			if err := g.MoveSpaceToOwnTable(ctx, g.collection.ActiveSpace); err != nil {
				t.Fatal(err)
			}
			g.wantMoved(t, 3)
		})
	}
}

// What a statement locks does not depend on how many collections there are.
func TestLocksFollowWhatIsTouched(t *testing.T) {
	t.Parallel()
	d, s, ctx, c := withCollection(t, 2)
	locks := func() (n int) {
		t.Helper()
		if err := s.InTenant(ctx, func(tx pgx.Tx) error {
			if err := s.ReusePassagesInTx(ctx, tx, c.ActiveSpace, []document.ContentHash{document.HashText("unknown")}); err != nil {
				return err
			}
			return tx.QueryRow(ctx, `SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid()`).Scan(&n)
		}); err != nil {
			t.Fatal(err)
		}
		return n
	}
	few := locks()
	for i := range 100 {
		if _, err := s.EnsureCollection(ctx, fmt.Sprint(i), document.Model{Name: "m", Dimensions: 2}, document.Chunking{Tokens: 10}); err != nil {
			t.Fatal(err)
		}
	}
	if many := locks(); many != few {
		t.Errorf("looking up a hash holds %d locks with 1 collection, %d with 101", few, many)
	}
	if tables := queryTexts(t, d.owner, `SELECT relname::text FROM pg_class WHERE relname ~ '^passages_[0-9]+$'`); len(tables) > 0 {
		t.Errorf("small collections have tables of their own: %v", tables)
	}
}
