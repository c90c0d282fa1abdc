package main

import (
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/pgvector/pgvector-go"

	"github.com/seed-7a112592/gristmill/internal/backend/llm"
	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/internal/test/program"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

const (
	recallQuestions = 200
	recallLimit     = 10
)

// measureRecall measures which share of the ten nearest passages of a question the API finds in a
// space with a vector index: among all passages, and among those with a key prefix, which are 1 %.
func measureRecall(b *bench) {
	m := newSyntheticCorpus(readCorpus(b))
	s := newInstallation(b, embeddingDimensions, fakeprovider.Options{Semantic: true})
	s.upload(m.documents())
	worker, did := s.ingest(ingestLimit)
	b.note("%s", did)
	begin := time.Now()
	s.awaitIndex(worker)
	b.note("indexed in the background %.0f s later", time.Since(begin).Seconds())
	// Disables index scans on this connection, so that exactNearest compares every passage.
	if _, err := s.db.Exec(b.ctx, "SET enable_indexscan = off"); err != nil {
		b.Fatal(err)
	}
	questions := m.questions[:min(recallQuestions, len(m.questions))]
	all := s.searchRecall(questions, func(int) string { return "" })
	some := s.searchRecall(questions, keyPrefix)
	b.note("%d questions, latency: %s; with a filter: %s (load %s)", len(questions), all.took, some.took, loadAverage())
	b.report(result{"recall@10 of 50,000 passages", all.share, "", boundMin, 0.95})
	b.report(result{"recall@10 with a filter that keeps 1 %", some.share, "", boundMin, 0.95})
}

// recallResult is the result of a number of searches.
type recallResult struct {
	share float64 // of the nearest passages that were found
	took  latencies
}

// searchRecall searches for each question, with the key prefix that prefix returns for its index.
func (s *installation) searchRecall(questions []string, prefix func(i int) string) recallResult {
	c := s.searchClient()
	var r recallResult
	found, expected := 0, 0
	for i, question := range questions {
		begin := time.Now()
		result, err := c.Search(s.b.ctx, document.SearchRequest{Query: question, Limit: recallLimit, KeyPrefix: prefix(i)})
		if err != nil {
			s.b.Fatalf("search: %v\n%s", err, s.api.Output())
		}
		r.took = append(r.took, time.Since(begin).Seconds()*1000)
		nearest := s.exactNearest(question, prefix(i))
		expected += len(nearest)
		for _, hit := range result.Hits {
			if slices.Contains(nearest, hit.Content) {
				found++
			}
		}
	}
	if expected < recallLimit*len(questions) {
		s.b.Fatalf("found only %d nearest passages for %d questions", expected, len(questions))
	}
	slices.Sort(r.took)
	r.share = float64(found) / float64(expected)
	return r
}

// exactNearest returns the contents of the passages nearest to a question. It compares the question
// with every passage that a search may find.
func (s *installation) exactNearest(question, prefix string) []string {
	vectors, err := llm.LocalEmbedder{}.Embed(s.b.ctx, document.Model{Dimensions: embeddingDimensions}, []string{question})
	if err != nil {
		s.b.Fatal(err)
	}
	rows, err := s.db.Query(s.b.ctx, `
		WITH visible AS MATERIALIZED (
			SELECT DISTINCT m.space, m.hash
			FROM collections c
			JOIN documents d ON d.collection = c.id
			JOIN manifest m ON m.space = c.active_space AND m.document = d.id AND m.version = d.published_version
			WHERE d.deleted_at IS NULL AND starts_with(d.key, $2)
		)
		SELECT p.content
		FROM visible v
		JOIN `+program.AllPassagesSQL+` p ON p.space = v.space AND p.hash = v.hash
		ORDER BY p.embedding <=> $1::halfvec, p.hash
		LIMIT $3`, pgvector.NewHalfVector(vectors[0]), prefix, recallLimit)
	if err != nil {
		s.b.Fatal(err)
	}
	contents, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		s.b.Fatalf("find the nearest passages: %v", err)
	}
	return contents
}
