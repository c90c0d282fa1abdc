package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/pgvector/pgvector-go"
	pgvectorpgx "github.com/pgvector/pgvector-go/pgx"
	"golang.org/x/sync/errgroup"

	"github.com/seed-7a112592/gristmill/internal/backend/postgres"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// vectorSeries are databases with one collection of passages like those of a real model, whose
// vectors are indexed at every size.
var vectorSeries = series{
	name: "vectors",
	sizes: func(o options) (sizes []int) {
		for n := 10_000; n <= o.vectors; n *= 10 {
			sizes = append(sizes, n)
		}
		return sizes
	},
	fill:    fillVectors,
	figures: []figure{{"bytes", measureRowSizes}, {"elements", measureElementSizes}, {"search", measureVectorSearch}},
}

const (
	longDimensions = 384

	searchClients = 16
	searchLimit   = 10
	searchTime    = 4 * time.Second // duration of one measurement
	searchTurns   = 4
	queryCount    = 200

	maxSearchRatio = 1.3
	minRecall      = 0.95
)

func fillVectors(d *database) {
	d.fixture.collection = func() string { return indexedCollection }
	m := newMixture(longDimensions)
	d.loadVectors(m.vectors, d.size)
	for vector := range m.vectors {
		if d.fixture.queryVectors = append(d.fixture.queryVectors, vector); len(d.fixture.queryVectors) == queryCount {
			break
		}
	}
	made := d.ingest(d.ensureCollection(indexedCollection, document.Model{Name: "model", Dimensions: longDimensions}), "made.md", "{}", passages(documentPassages, longDimensions))
	d.addClones(docTemplate{original: made, prefix: "more/", passages: documentPassages, count: d.size / documentPassages})
	d.exec("ANALYZE")
	begin := time.Now()
	d.index(indexedCollection, 1)
	fmt.Printf("    %s indexed in %.0f s\n", formatCount(d.size), time.Since(begin).Seconds())
	d.checkClones(d.fixture.templates[0])
}

// measureVectorSearch measures searches of 16 concurrent clients through the store, and alternately
// the bare statement with the same settings on the same number of connections, each statement in
// its own transaction.
func measureVectorSearch(r *report, of []*database) {
	var p50, p99, bare50, bare99, ratios, rate, bareRate, found, bareFound, wide []float64
	for _, d := range of {
		statement, width := d.baselineStatement()
		store := d.openStore(searchClients)
		pool := d.baselinePool(width)
		space := d.collection().ActiveSpace
		byStore := func(vector []float32) ([]float64, error) { return searchStore(d.ctx, store, space, vector) }
		byStatement := func(vector []float32) ([]float64, error) { return searchBaseline(d.ctx, pool, statement, vector) }
		var took, bare []float64
		for turn := range 1 + searchTurns {
			t, b := d.searchAtOnce(byStore), d.searchAtOnce(byStatement)
			if turn > 0 { // the first opens connections and creates plans
				took, bare = append(took, t...), append(bare, b...)
			}
		}
		p50, p99 = append(p50, quantile(took, 0.5)), append(p99, quantile(took, 0.99))
		bare50, bare99 = append(bare50, quantile(bare, 0.5)), append(bare99, quantile(bare, 0.99))
		ratios = append(ratios, quantile(took, 0.99)/quantile(bare, 0.99))
		seconds := (searchTurns * searchTime).Seconds()
		rate, bareRate = append(rate, float64(len(took))/seconds), append(bareRate, float64(len(bare))/seconds)
		nearest := d.exactScores(statement)
		found = append(found, d.recall(byStore, nearest))
		bareFound = append(bareFound, d.recall(byStatement, nearest))
		wide = append(wide, float64(width))
		store.Close()
		pool.Close()
	}
	r.printRatio("16 clients, store: p50", "ms", p50, 0)
	r.printRatio("16 clients, store: p99", "ms", p99, 0)
	r.printRatio("16 clients, bare statement: p50", "ms", bare50, 0)
	r.printRatio("16 clients, bare statement: p99", "ms", bare99, 0)
	r.printMax("p99 of the store over that of the statement", "", ratios, maxSearchRatio)
	r.printRatio("searches, store", "/s", rate, 0)
	r.printRatio("searches, bare statement", "/s", bareRate, 0)
	r.printMin("recall@10, store", "", found, minRecall)
	r.printRatio("recall@10, bare statement", "", bareFound, 0)
	r.printRatio("hnsw.ef_search", "", wide, 0)
}

// baselineStatement returns the minimal statement of a search, which reads the nearest passages
// with their texts through the database's only vector index, and the hnsw.ef_search that the
// product uses.
func (d *database) baselineStatement() (statement string, width int) {
	var table, vector string
	d.must(d.owner.QueryRow(d.ctx, `
		SELECT i.indrelid::regclass::text, pg_get_indexdef(i.indexrelid, 1, true)
		FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
		WHERE a.amname = 'hnsw'`).Scan(&table, &vector))
	// In releases in which spaces have no width of their own, all have this one.
	const defaultWidth = 400
	d.must(d.owner.QueryRow(d.ctx, `SELECT coalesce(max((to_jsonb(s)->>'ef_search')::integer), $1) FROM public.spaces s`, defaultWidth).Scan(&width))
	return fmt.Sprintf(`
		SELECT 1 - (%[2]s <=> $1), hash, heading_path, context, content, tokens
		FROM %[1]s
		ORDER BY %[2]s <=> $1
		LIMIT %[3]d`, table, vector, searchLimit), width
}

// baselinePool returns connections as the superuser, to whom row-level security does not apply.
func (d *database) baselinePool(width int) *pgxpool.Pool {
	config, err := pgxpool.ParseConfig(d.installation.OwnerURL)
	d.must(err)
	config.MaxConns = searchClients
	config.ConnConfig.RuntimeParams["hnsw.ef_search"] = fmt.Sprint(width)
	config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error { return pgvectorpgx.RegisterTypes(ctx, conn) }
	pool, err := pgxpool.NewWithConfig(d.ctx, config)
	d.must(err)
	return pool
}

// searchStore returns the scores of the passages that the store finds.
func searchStore(ctx context.Context, store *postgres.Store, space vector.Space, values []float32) ([]float64, error) {
	hits, err := store.NearestPassages(ctx, space, vector.Query{Collection: indexedCollection, Vector: values, Limit: searchLimit, Threshold: -1})
	scores := make([]float64, len(hits))
	for i, hit := range hits {
		scores[i] = hit.Score
	}
	return scores, err
}

func searchBaseline(ctx context.Context, db interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}, statement string, vector []float32) ([]float64, error) {
	rows, err := db.Query(ctx, statement, pgvector.NewHalfVector(vector))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (score float64, err error) {
		var hash []byte
		var hit document.Passage
		err = row.Scan(&score, &hash, &hit.HeadingPath, &hit.Context, &hit.Content, &hit.Tokens)
		return score, err
	})
}

// exactScores returns, for each query, the score of the last of its nearest passages, found by
// comparing all passages.
func (d *database) exactScores(statement string) []float64 {
	d.exec("SET enable_indexscan = off")
	last := make([]float64, queryCount)
	for i, question := range d.fixture.queryVectors {
		scores, err := searchBaseline(d.ctx, d.owner, statement, question)
		d.must(err)
		last[i] = scores[len(scores)-1]
	}
	d.exec("RESET enable_indexscan")
	return last
}

// recall returns the share of the nearest passages that a search finds.
func (d *database) recall(search func(vector []float32) ([]float64, error), nearest []float64) float64 {
	const rounding = 1e-6
	found := 0
	for i, question := range d.fixture.queryVectors {
		scores, err := search(question)
		d.must(err)
		for _, s := range scores {
			if s >= nearest[i]-rounding {
				found++
			}
		}
	}
	return float64(found) / (queryCount * searchLimit)
}

// searchAtOnce runs the searches of all clients for searchTime, and returns the latencies in
// milliseconds.
func (d *database) searchAtOnce(search func(vector []float32) ([]float64, error)) []float64 {
	group, ctx := errgroup.WithContext(d.ctx)
	took := make([][]float64, searchClients)
	end := time.Now().Add(searchTime)
	for client := range searchClients {
		group.Go(func() error {
			for i := client; time.Now().Before(end) && ctx.Err() == nil; i += searchClients {
				begin := time.Now()
				found, err := search(d.fixture.queryVectors[i%queryCount])
				if err == nil && len(found) != searchLimit {
					err = errors.New("the search found too few passages")
				}
				if err != nil {
					return err
				}
				took[client] = append(took[client], time.Since(begin).Seconds()*1000)
			}
			return nil
		})
	}
	d.must(group.Wait())
	var all []float64
	for _, t := range took {
		all = append(all, t...)
	}
	return all
}
