package postgres_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/backend/postgres"
	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

const benchDimensions = 1536

// BenchmarkWrite writes batches of 128 new passages with their places.
func BenchmarkWrite(b *testing.B) {
	store, work := benchWork(b)
	ctx := tenant.With(b.Context(), tenant.Default)
	batch := benchBatch(128)
	written := 0
	for b.Loop() {
		renewBatch(batch, written)
		written += len(batch.New)
		if err := store.WriteBatch(ctx, work, batch, document.KnowledgeProgress{Passages: int64(written)}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(written)/b.Elapsed().Seconds(), "passages/s")
}

// BenchmarkWriteReused writes places of passages that are there already.
func BenchmarkWriteReused(b *testing.B) {
	store, work := benchWork(b)
	ctx := tenant.With(b.Context(), tenant.Default)
	batch := benchBatch(128)
	renewBatch(batch, 0)
	written := len(batch.New)
	if err := store.WriteBatch(ctx, work, batch, document.KnowledgeProgress{}); err != nil {
		b.Fatal(err)
	}
	batch.New = nil
	for b.Loop() {
		for i := range batch.Entries {
			batch.Entries[i].Ordinal += len(batch.Entries)
		}
		written += len(batch.Entries)
		if err := store.WriteBatch(ctx, work, batch, document.KnowledgeProgress{Passages: int64(written)}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(written)/b.Elapsed().Seconds(), "passages/s")
}

// BenchmarkNearest searches a space of 20,000 passages.
func BenchmarkNearest(b *testing.B) {
	store, work := benchWork(b)
	ctx := tenant.With(b.Context(), tenant.Default)
	const passages = 20_000
	batch := benchBatch(500)
	for written := 0; written < passages; written += len(batch.New) {
		renewBatch(batch, written)
		if err := store.WriteBatch(ctx, work, batch, document.KnowledgeProgress{}); err != nil {
			b.Fatal(err)
		}
	}
	if err := store.Publish(ctx, work, nil, document.KnowledgeProgress{Passages: passages}); err != nil {
		b.Fatal(err)
	}
	query := vector.Query{Vector: batch.New[0].Vector, Limit: 10, Threshold: -1}
	for b.Loop() {
		hits, err := store.NearestPassages(ctx, work.Space, query)
		if err != nil || len(hits) != query.Limit {
			b.Fatalf("got %d hits, %v", len(hits), err)
		}
	}
}

// benchWork returns a store with an accepted document and its claimed task.
func benchWork(b *testing.B) (*postgres.Store, task.Work) {
	b.Helper()
	store := openStore(b)
	ctx := tenant.With(b.Context(), tenant.Default)
	c, err := store.EnsureCollection(ctx, "bench", document.Model{Name: "bench", Dimensions: benchDimensions}, document.Chunking{Tokens: 400})
	if err != nil {
		b.Fatal(err)
	}
	accepted, err := upload(ctx, store, original.Upload{Collection: c, Key: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	work, err := store.Claim(ctx, task.Ref{DocumentID: accepted.Document.ID, Version: 1, Kind: task.KindKnowledge}, time.Hour)
	if err != nil {
		b.Fatal(err)
	}
	return store, work
}

// benchBatch returns n passages of about 1,500 bytes that do not compress too
// well.
func benchBatch(n int) vector.Batch {
	random := rand.New(rand.NewPCG(1, 2))
	batch := vector.Batch{New: make([]vector.EmbeddedPassage, n), Entries: make([]vector.ManifestEntry, n)}
	for i := range batch.New {
		var text []byte
		for len(text) < 1500 {
			text = fmt.Appendf(text, "%x ", random.IntN(1<<24))
		}
		values := make([]float32, benchDimensions)
		for j := range values {
			values[j] = random.Float32() - 0.5
		}
		batch.New[i] = vector.EmbeddedPassage{
			PassageText: document.PassageText{HeadingPath: []string{"Guide", "Install"}, Content: string(text), Tokens: 400},
			Vector:      values,
		}
	}
	return batch
}

// renewBatch makes a batch like no other before it: its passages are the nth and
// following ones.
func renewBatch(batch vector.Batch, n int) {
	for i := range batch.New {
		batch.New[i].Hash = document.HashText(string(binary.BigEndian.AppendUint64(nil, uint64(n+i))))
		batch.Entries[i] = vector.ManifestEntry{Hash: batch.New[i].Hash, Ordinal: n + i, Start: int64(n + i), End: int64(n + i + 1)}
	}
}
