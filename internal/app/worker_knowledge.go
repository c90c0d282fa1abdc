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

// batchesInFlight is the number of batches of one document that are looked up, embedded and written
// at the same time. It bounds the memory of a document.
const batchesInFlight = 4

// concurrentReindexes is the number of reindexes, of different collections, that a process runs at
// the same time.
const concurrentReindexes = 2

// RunWorkerKnowledge is the program cmd/worker-knowledge. It makes documents searchable, runs
// reindexes, verifies documents, and sweeps.
func RunWorkerKnowledge(ctx context.Context, config Config, log *slog.Logger) error {
	sweep := func(ctx context.Context, _ Config, b *Backends) error {
		return Sweep(ctx, b)
	}
	return run(ctx, config, log, knowledgeHealth, RecoverLostTasks, ProcessKnowledgeTasks, ProcessReindexTasks, BuildIndexes, Scrub, sweep)
}

// knowledgeHealth returns the handler of worker-knowledge. In addition to the checks of every worker,
// it checks whether sessions can hold locks and whether vector indexes can be built.
func knowledgeHealth(_ context.Context, config Config, b *Backends) (http.Handler, error) {
	checks := b.readinessChecks()
	checks["sessions"] = telemetry.Check{Test: b.pingSession} // the sweep and other background work need them
	checks["indexes"] = telemetry.Check{Test: b.pingIndexer, Optional: true}
	return telemetry.NewHealthHandler(telemetry.HealthConfig{Metrics: b.Metrics, Checks: checks, Trusted: config.isTrusted})
}

// ProcessKnowledgeTasks runs knowledge tasks from the queue until ctx ends.
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

// ProcessReindexTasks runs reindexes from the queue until ctx ends. Reindexes have their own queue,
// and few requests in flight, so that uploads do not wait behind them.
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

// BuildIndexes moves spaces that have grown to tables of their own, and builds their vector indexes,
// until ctx ends.
func BuildIndexes(ctx context.Context, config Config, b *Backends) error {
	builds := config.IndexDatabaseURL != ""
	if !builds {
		b.Log.WarnContext(ctx, "no vector indexes are built; large spaces are searched exactly", "error", b.pingIndexer(ctx))
	}
	builder, err := spaces.NewIndexBuilder(spaces.Config{Store: b.Store, Threshold: config.IndexThreshold, BuildIndexes: builds, Log: b.Log})
	if err != nil {
		return err
	}
	builder.Run(ctx)
	return nil
}
