package app_test

import (
	"testing"

	"github.com/seed-7a112592/gristmill/internal/backend/llm"
	"github.com/seed-7a112592/gristmill/internal/backend/postgres"
	"github.com/seed-7a112592/gristmill/internal/backend/progress"
	"github.com/seed-7a112592/gristmill/internal/backend/queue"
	"github.com/seed-7a112592/gristmill/internal/backend/sqlite"
	"github.com/seed-7a112592/gristmill/internal/embedding"
	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/pipeline/dispatch"
	"github.com/seed-7a112592/gristmill/internal/pipeline/ingest"
	"github.com/seed-7a112592/gristmill/internal/pipeline/jobs"
	"github.com/seed-7a112592/gristmill/internal/pipeline/knowledge"
	"github.com/seed-7a112592/gristmill/internal/pipeline/reindex"
	"github.com/seed-7a112592/gristmill/internal/pipeline/search"
	"github.com/seed-7a112592/gristmill/internal/pipeline/spaces"
	"github.com/seed-7a112592/gristmill/internal/pipeline/summary"
	"github.com/seed-7a112592/gristmill/internal/pipeline/sweep"
	"github.com/seed-7a112592/gristmill/internal/pipeline/verify"
	"github.com/seed-7a112592/gristmill/internal/pipeline/webhooks"
	"github.com/seed-7a112592/gristmill/internal/pipeline/worker"
	"github.com/seed-7a112592/gristmill/internal/server/httpapi"
	"github.com/seed-7a112592/gristmill/internal/telemetry"
	"github.com/seed-7a112592/gristmill/internal/upload"
)

// A constructor names every required field that its configuration lacks.
func TestConstructorsNameMissingFields(t *testing.T) {
	t.Parallel()
	for want, construct := range map[string]func() error{
		"dispatch.Config: missing Store, Queue, Log":                                                   made(dispatch.NewDispatcher),
		"embedding.CacheConfig: missing Store, Embedder, Process, Metrics, BatchPassages, BatchTokens": made(embedding.NewCache),
		"embedding.ConfiguredModelConfig: missing Embedder, Setting, Chunking, Log":                    made(embedding.NewConfiguredModel),
		"embedding.ProcessConfig: missing Locks, WriteBreaker":                                         made(embedding.NewProcessState),
		"embedding.QueryConfig: missing Embedder":                                                      made(embedding.NewQueryEmbedder),
		"httpapi.Config: missing Uploader, Searcher, Reindexer, Reindexes, Documents, Collections, Jobs, JobController, " +
			"WebhookAdder, Webhooks, Originals, Progress, Health, Metrics, Log, DefaultSummaryMode, MaxUploadBytes": made(httpapi.New),
		"ingest.Config: missing Objects, Originals, Store, Dispatcher, Log, MaxBytes, Memory, BacklogLimit, " +
			"DefaultModel, DefaultChunking": made(ingest.NewService),
		"jobs.Config: missing Store, Changes, Dispatcher, Models, DefaultSummaryMode": made(jobs.NewService),
		"knowledge.Config: missing Objects, Store, Embedder, Process, Progress, Metrics, Log, Defaults, " +
			"BatchPassages, BatchTokens, ParallelBatches": made(knowledge.NewStep),
		"llm.OpenAIConfig: missing RateLimiter, Metrics, Log": made(llm.NewOpenAI),
		"original.VerifierConfig: missing Objects":            made(original.NewVerifier),
		"postgres.Config: missing URL, Log": made(func(config postgres.Config) (*postgres.Store, error) {
			return postgres.Open(t.Context(), config)
		}),
		"postgres.MigrateConfig: missing OwnerURL, AppURL, Log": made(func(config postgres.MigrateConfig) (any, error) {
			return nil, postgres.Migrate(t.Context(), config)
		}),
		"progress.Config: missing RedisURL, Log":                                                                made(progress.NewStore),
		"queue.ServerConfig: missing RedisURL, Kind, Concurrency, DrainTimeout, CloseTimeout, Log":              made(queue.NewServer),
		"reindex.ServiceConfig: missing Store, Objects, Embedder, DefaultSummaryMode, Changes, Dispatcher, Log": made(reindex.NewService),
		"reindex.StepConfig: missing Store, Objects, Embedder, Process, Changes, Dispatcher, Metrics, Log, " +
			"BatchPassages, BatchTokens, ParallelRequests, IndexThreshold": made(reindex.NewStep),
		"search.Config: missing Store, Questions, EmbedTimeout, Metrics": made(search.NewService),
		"spaces.Config: missing Store, Threshold, Log":                   made(spaces.NewIndexBuilder),
		"sqlite.Config: missing Path, Log": made(func(config sqlite.Config) (*sqlite.Store, error) {
			return sqlite.Open(t.Context(), config)
		}),
		"summary.Config: missing Objects, Store, Summariser, Progress, Metrics, Log, WriteBreaker, ParallelRequests, Extract": made(summary.NewStep),
		"sweep.GarbageCollectorConfig: missing Store, Objects, Metrics, Log, Grace":                                           made(sweep.NewGarbageCollector),
		"sweep.SweeperConfig: missing Store, Queue, Dispatcher, Log":                                                          made(sweep.NewSweeper),
		"telemetry.HealthConfig: missing Metrics":                                                                             made(telemetry.NewHealthHandler),
		"upload.Config: missing Client": made(func(config upload.Config) (upload.Result, error) {
			return upload.Run(t.Context(), nil, config)
		}),
		"verify.ScrubberConfig: missing Verifier, Store, Metrics":                                                        made(verify.NewScrubber),
		"verify.VerifierConfig: missing Store, Objects, Log":                                                             made(verify.NewVerifier),
		"webhooks.DelivererConfig: missing Store, Sender, Metrics, Log, DrainTimeout":                                    made(webhooks.NewDeliverer),
		"webhooks.ServiceConfig: missing Store, URLs":                                                                    made(webhooks.NewService),
		"worker.RecovererConfig: missing Store, Queue, LeaseTTL, Log":                                                    made(worker.NewRecoverer),
		"worker.RunnerConfig: missing Store, Step, Changes, Dispatcher, CrashLane, Metrics, Log, LeaseTTL, DrainTimeout": made(worker.NewRunner),
	} {
		if err := construct(); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// made returns a function that calls a constructor with an empty configuration.
func made[Config, T any](construct func(Config) (T, error)) func() error {
	return func() error {
		var empty Config
		_, err := construct(empty)
		return err
	}
}
