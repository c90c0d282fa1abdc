package app

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/seed-7a112592/gristmill/internal/pipeline/knowledge"
	"github.com/seed-7a112592/gristmill/internal/pipeline/reindex"
	"github.com/seed-7a112592/gristmill/internal/pipeline/spaces"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/telemetry"
)

// batchesInFlight is how many batches of one document are looked up, embedded
// and written at a time; it bounds a document's memory.
const batchesInFlight = 4

// concurrentReindexes is how many reindexes, of different collections, a process
// works at at a time.
const concurrentReindexes = 2

// RunWorkerKnowledge is the program cmd/worker-knowledge: it makes documents
// searchable, re-indexes, and sweeps.
func RunWorkerKnowledge(ctx context.Context, config Config, log *slog.Logger) error {
	sweep := func(ctx context.Context, _ Config, b *Backends) error {
		return Sweep(ctx, b)
	}
	return run(ctx, config, log, knowledgeHealth, RecoverLostTasks, ProcessKnowledgeTasks, ProcessReindexTasks, BuildIndexes, Scrub, sweep)
}

// knowledgeHealth is health, and whether things can be swept and indexes built.
func knowledgeHealth(_ context.Context, config Config, b *Backends) (http.Handler, error) {
	checks := b.readinessChecks()
	checks["sessions"] = telemetry.Check{Test: b.pingSession} // without them nothing is swept
	checks["indexes"] = telemetry.Check{Test: b.pingIndexer, Optional: true}
	return telemetry.NewHealthHandler(telemetry.HealthConfig{Metrics: b.Metrics, Checks: checks, Trusted: config.isTrusted})
}

// ProcessKnowledgeTasks takes knowledge tasks until ctx ends.
func ProcessKnowledgeTasks(ctx context.Context, config Config, b *Backends) error {
	step, err := knowledge.NewStep(knowledge.Config{
		Objects:         b.Objects,
		Store:           b.Store,
		Embedder:        b.TaskModels,
		Process:         b.Embedding,
		Defaults:        b.ConfiguredModel,
		Progress:        b.Progress,
		Metrics:         b.Metrics,
		Log:             b.Log,
		BatchPassages:   config.EmbeddingBatch,
		BatchTokens:     config.EmbeddingBatchTokens,
		ParallelBatches: batchesInFlight,
	})
	if err != nil {
		return err
	}
	return runTasks(ctx, config, b, task.KindKnowledge, config.WorkerConcurrency, step)
}

// ProcessReindexTasks takes reindexes until ctx ends. Their queue is their own, and so
// are the few requests that they have in flight, so that what is uploaded does
// not wait behind them.
func ProcessReindexTasks(ctx context.Context, config Config, b *Backends) error {
	step, err := reindex.NewStep(reindex.StepConfig{
		Store:            b.Store,
		Objects:          b.Objects,
		Embedder:         b.TaskModels,
		Process:          b.Embedding,
		Changes:          b.Progress,
		Dispatcher:       b.Dispatcher,
		Metrics:          b.Metrics,
		Log:              b.Log,
		BatchPassages:    config.EmbeddingBatch,
		BatchTokens:      config.EmbeddingBatchTokens,
		ParallelRequests: config.ReindexConcurrency,
		IndexThreshold:   config.IndexThreshold,
		Soak:             config.ReindexSoak,
	})
	if err != nil {
		return err
	}
	return runTasks(ctx, config, b, task.KindReindex, concurrentReindexes, step)
}

// BuildIndexes gives spaces that have grown a table of their own, and a vector
// index, until ctx ends.
func BuildIndexes(ctx context.Context, config Config, b *Backends) error {
	builds := config.IndexDatabaseURL != ""
	if !builds {
		b.Log.WarnContext(ctx, "spaces do not get vector indexes", "error", b.pingIndexer(ctx))
	}
	builder, err := spaces.NewIndexBuilder(spaces.Config{Store: b.Store, Threshold: config.IndexThreshold, BuildIndexes: builds, Log: b.Log})
	if err != nil {
		return err
	}
	builder.Run(ctx)
	return nil
}
