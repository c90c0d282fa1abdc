package app

import (
	"context"
	"log/slog"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/pipeline/knowledge"
)

// batchesInFlight is how many batches of one document are looked up, embedded
// and written at a time; it bounds a document's memory.
const batchesInFlight = 4

// RunWorkerKnowledge is the program cmd/worker-knowledge: it makes documents
// searchable, and sweeps.
func RunWorkerKnowledge(ctx context.Context, config Config, log *slog.Logger) error {
	sweep := func(ctx context.Context, _ Config, b *Backends) error {
		Sweep(ctx, b, false)
		return nil
	}
	return run(ctx, config, log, health, WorkKnowledge, sweep)
}

// WorkKnowledge takes knowledge tasks until ctx ends.
func WorkKnowledge(ctx context.Context, config Config, b *Backends) error {
	return work(ctx, config, b, document.Knowledge, &knowledge.Step{
		Objects:       b.Objects,
		Store:         b.Store,
		Embedder:      b.Models,
		Claims:        b.Live,
		Live:          b.Live,
		Metrics:       b.Metrics,
		Log:           b.Log,
		BatchPassages: config.EmbeddingBatch,
		BatchTokens:   config.EmbeddingBatchTokens,
		Batches:       batchesInFlight,
	})
}
