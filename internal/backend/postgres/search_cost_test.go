package postgres_test

import (
	"context"
	"fmt"
	"net/url"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/pgvector/pgvector-go"

	"github.com/seed-7a112592/gristmill/internal/backend/postgres"
	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/vector"
)

// A search asks the database once for its collection and once for its hits, with
// and without an index; under a filter it asks a few times more.
func TestSearchTakesFewRoundTrips(t *testing.T) {
	t.Parallel()
	g, ctx := newLargeStore(t, 2)
	server, err := url.Parse(g.app)
	if err != nil {
		t.Fatal(err)
	}
	var trips roundTrips
	cut := proxyTo(t, server, trips.said)
	s, err := postgres.Open(ctx, postgres.Config{URL: server.String(), MaxConns: 1, Log: logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer cut()
	defer s.Close()
	takes := func(what string, most int, call func() error) {
		t.Helper()
		var n int
		for range 2 { // the first time the statements are prepared
			n = trips.count()
			if err := call(); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
		}
		if n = trips.count() - n; n > most {
			t.Errorf("%s takes %d round trips, want %d", what, n, most)
		}
	}
	for _, index := range []bool{false, true} {
		if index {
			if err := g.IndexSpace(ctx, g.space(t, ctx), 1); err != nil {
				t.Fatal(err)
			}
		}
		var c vector.Collection
		takes("reading the collection", 1, func() error {
			c, err = s.Collection(ctx, "c")
			return err
		})
		for what, test := range map[string]struct {
			query vector.Query
			most  int
		}{
			"a search":                 {vector.Query{}, 1},
			"one under a key prefix":   {vector.Query{KeyPrefix: "a/"}, maxFilteredTrips},
			"one under metadata":       {vector.Query{Metadata: []byte(`{"key":"a/0"}`)}, maxFilteredTrips},
			"one under both":           {vector.Query{KeyPrefix: "a/", Metadata: []byte(`{"key":"a/0"}`)}, maxFilteredTrips},
			"one with a limit of 100":  {vector.Query{Limit: 100}, 1},
			"one that nothing matches": {vector.Query{KeyPrefix: "none/"}, maxFilteredTrips},
		} {
			query := test.query
			query.Vector, query.Threshold = g.vector('a'), -1
			if query.Limit == 0 {
				query.Limit = 10
			}
			takes(fmt.Sprintf("%s (indexed: %t)", what, index), test.most, func() error {
				_, err := s.NearestPassages(ctx, c.ActiveSpace, query)
				return err
			})
		}
	}
}

// maxFilteredTrips is: begin, the filter's rows, counting, searching, commit.
const maxFilteredTrips = 5

// roundTrips counts how often a client speaks after the server has answered.
type roundTrips struct {
	mu     sync.Mutex
	client bool // spoke last
	n      int
}

func (r *roundTrips) said(client bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if client && !r.client {
		r.n++
	}
	r.client = client
	return nil
}

func (r *roundTrips) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.n
}

// A search reads little beside what a walk along the index reads: of each hit one
// row of the manifest, the document and its version.
func TestSearchReadsLittleBesideTheWalk(t *testing.T) {
	t.Parallel()
	const hits, perHit = 10, 9
	g, ctx := newLargeStore(t, 20)
	if err := g.IndexSpace(ctx, g.space(t, ctx), 1); err != nil {
		t.Fatal(err)
	}
	space, question := g.space(t, ctx), g.vector('a')
	var width int
	if err := g.InTenant(ctx, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, "SELECT ef_search FROM spaces WHERE id = $1", space.ID).Scan(&width)
	}); err != nil {
		t.Fatal(err)
	}
	walk := pagesReadByGenericPlan(t, g.database, g.Store, func(ctx context.Context, s *postgres.Store) error {
		return s.InTenant(ctx, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "SELECT set_config('hnsw.ef_search', $1, true), set_config('enable_seqscan', 'off', true)", fmt.Sprint(width)); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, fmt.Sprintf("SELECT content FROM %s ORDER BY embedding::halfvec(%d) <=> $1 LIMIT %d", postgres.PassagesTable(space), largeStoreDimensions, hits),
				pgvector.NewHalfVector(question))
			return err
		})
	})
	search := pagesReadByGenericPlan(t, g.database, g.Store, func(ctx context.Context, s *postgres.Store) error {
		_, err := s.NearestPassages(ctx, space, vector.Query{Vector: question, Limit: hits, Threshold: -1})
		return err
	})
	if t.Logf("%d pages for the walk, %d for the search", walk, search); search > walk+hits*perHit+10 {
		t.Errorf("a search for %d hits reads %d pages, and a walk along the index %d", hits, search, walk)
	}
}

// A walk along the index returns nothing of a space that is not the active one of
// its collection, or whose passages are in another table than the caller believes.
func TestWalkChecksTheSpace(t *testing.T) {
	t.Parallel()
	g, ctx := newLargeStore(t, 2)
	if err := g.IndexSpace(ctx, g.space(t, ctx), 1); err != nil {
		t.Fatal(err)
	}
	space, query := g.space(t, ctx), vector.Query{Vector: g.vector('a'), Limit: 10, Threshold: -1}
	moved := space
	moved.OwnTable = false
	if hits := g.hits(t, ctx, moved, query); len(hits) != 10 {
		t.Errorf("%d hits where the caller takes the passages to be in the shared table, want 10", len(hits))
	}
	execute(t, g.owner, `INSERT INTO spaces (tenant, collection, model, dimensions, chunk_tokens, chunk_overlap)
		SELECT tenant, collection, model, dimensions, chunk_tokens, chunk_overlap FROM spaces`)
	execute(t, g.owner, `UPDATE collections SET active_space = (SELECT max(id) FROM spaces)`)
	if hits, err := g.NearestPassages(ctx, space, query); !fault.Is(err, fault.Conflict) {
		t.Errorf("%d hits and %v of a space that is not active, want a conflict", len(hits), err)
	}
}

// A filter that keeps much of a space is asked of what a walk meets, sooner than
// all that it keeps is compared.
func TestSearchUnderAFilterThatKeepsMuchWalks(t *testing.T) {
	t.Parallel()
	const kept = 1200
	g, ctx := newLargeStore(t, 2*kept/100)
	if err := g.IndexSpace(ctx, g.space(t, ctx), 1); err != nil {
		t.Fatal(err)
	}
	space, question := g.space(t, ctx), g.vector('a')
	pages := pagesReadByGenericPlan(t, g.database, g.Store, func(ctx context.Context, s *postgres.Store) error {
		_, err := s.NearestPassages(ctx, space, vector.Query{Vector: question, Limit: 10, Threshold: -1, KeyPrefix: "a/"})
		return err
	})
	if t.Logf("%d pages", pages); pages > 3*kept { // comparing one reads four
		t.Errorf("a search under a filter that keeps %d passages reads %d pages", kept, pages)
	}
}

// A walk that meets nothing but passages of deleted documents is no answer.
func TestSearchGoesPastWhatIsDeleted(t *testing.T) {
	t.Parallel()
	g, ctx := newLargeStore(t, 4)
	if err := g.IndexSpace(ctx, g.space(t, ctx), 1); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"a/0", "a/2"} {
		if err := g.DeleteDocument(ctx, g.document(t, ctx, key)); err != nil {
			t.Fatal(err)
		}
	}
	if hits := g.hits(t, ctx, g.space(t, ctx), vector.Query{Vector: g.vector('a'), Limit: 10}); len(hits) != 10 {
		t.Errorf("%d hits, want 10", len(hits))
	}
}
