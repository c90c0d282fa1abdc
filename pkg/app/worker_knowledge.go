package app

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/pipeline/knowledge"
	"github.com/seed-7a112592/gristmill/pkg/pipeline/reindex"
	"github.com/seed-7a112592/gristmill/pkg/pipeline/sweep"
	"github.com/seed-7a112592/gristmill/pkg/telemetry"
)

// batchesInFlight is how many batches of one document are looked up, embedded
// and written at a time; it bounds a document's memory.
const batchesInFlight = 4

// reindexesAtOnce is how many reindexes, of different collections, a process
// works at at a time.
const reindexesAtOnce = 2

// RunWorkerKnowledge is the program cmd/worker-knowledge: it makes documents
// searchable, re-indexes, and sweeps.
func RunWorkerKnowledge(ctx context.Context, config Config, log *slog.Logger) error {
	sweep := func(ctx context.Context, _ Config, b *Backends) error {
		return Sweep(ctx, b)
	}
	return run(ctx, config, log, knowledgeHealth, Recover, WorkKnowledge, WorkReindex, KeepSpaces, Scrub, sweep)
}

// knowledgeHealth is health, and whether things can be swept and indexes built.
func knowledgeHealth(_ context.Context, config Config, b *Backends) http.Handler {
	checks := b.checks()
	checks["sessions"] = telemetry.Check{Test: b.pingSession} // without them nothing is swept
	checks["indexes"] = telemetry.Check{Test: b.pingIndexer, Optional: true}
	return telemetry.Health{Metrics: b.Metrics, Checks: checks, Trusted: config.trusts}.Handler()
}

// WorkKnowledge takes knowledge tasks until ctx ends.
func WorkKnowledge(ctx context.Context, config Config, b *Backends) error {
	return work(ctx, config, b, document.Knowledge, config.WorkerConcurrency, &knowledge.Step{
		Objects:       b.Objects,
		Store:         b.Store,
		Embedder:      b.Models,
		Process:       b.Embedding,
		Configured:    b.Configured,
		Live:          b.Live,
		Metrics:       b.Metrics,
		Log:           b.Log,
		BatchPassages: config.EmbeddingBatch,
		BatchTokens:   config.EmbeddingBatchTokens,
		Batches:       batchesInFlight,
	})
}

// WorkReindex takes reindexes until ctx ends. Their queue is their own, and so
// are the few requests that they have in flight, so that what is uploaded does
// not wait behind them.
func WorkReindex(ctx context.Context, config Config, b *Backends) error {
	return work(ctx, config, b, document.Reindexing, reindexesAtOnce, &reindex.Step{
		Store:          b.Store,
		Objects:        b.Objects,
		Embedder:       b.Models,
		Process:        b.Embedding,
		Live:           b.Live,
		Dispatcher:     b.Dispatcher,
		Metrics:        b.Metrics,
		Log:            b.Log,
		BatchPassages:  config.EmbeddingBatch,
		BatchTokens:    config.EmbeddingBatchTokens,
		Requests:       config.ReindexConcurrency,
		IndexThreshold: config.IndexThreshold,
		Soak:           config.ReindexSoak,
	})
}

// KeepSpaces gives spaces that have grown a table of their own, and a vector
// index, until ctx ends.
func KeepSpaces(ctx context.Context, config Config, b *Backends) error {
	builds := config.IndexDatabaseURL != ""
	if !builds {
		b.Log.WarnContext(ctx, "spaces do not get vector indexes", "error", b.pingIndexer(ctx))
	}
	keeper := &sweep.Keeper{Store: b.Store, Threshold: config.IndexThreshold, Builds: builds, Log: b.Log}
	keeper.Run(ctx)
	return nil
}
