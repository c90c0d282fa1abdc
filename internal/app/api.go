package app

import (
	"context"
	"log/slog"
	"net/http"
	"runtime/debug"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/backend/progress"
	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/pipeline/ingest"
	"github.com/seed-7a112592/gristmill/internal/pipeline/jobs"
	"github.com/seed-7a112592/gristmill/internal/pipeline/reindex"
	"github.com/seed-7a112592/gristmill/internal/pipeline/search"
	"github.com/seed-7a112592/gristmill/internal/pipeline/webhooks"
	"github.com/seed-7a112592/gristmill/internal/server/httpapi"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/telemetry"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// RunAPI is the program cmd/api: the HTTP API on real servers.
func RunAPI(ctx context.Context, config Config, log *slog.Logger) error {
	return run(ctx, config, log, API)
}

// API returns the handler of the HTTP API. When ctx ends, requests that wait for a job are answered,
// so that the server can stop.
func API(ctx context.Context, config Config, b *Backends) (http.Handler, error) {
	originals, err := original.NewVerifier(original.VerifierConfig{Objects: b.Objects})
	if err != nil {
		return nil, err
	}
	uploader, err := ingest.NewService(ingest.Config{
		Objects:         b.Objects,
		Originals:       originals,
		Store:           b.Store,
		Dispatcher:      b.Dispatcher,
		Log:             b.Log,
		MaxBytes:        config.MaxUploadBytes,
		Memory:          ingest.NewMemoryLimit(config.UploadMemory, newGCTuner(debug.SetGCPercent, debug.FreeOSMemory, b.Log).setHeldBytes),
		BacklogLimit:    task.Backlog{Jobs: config.MaxQueuedJobs, Bytes: config.MaxQueuedBytes},
		DefaultModel:    config.defaultModel(),
		DefaultChunking: config.defaultChunking(),
		OnModelNeeded:   b.ConfiguredModel.StartProbe,
	})
	if err != nil {
		return nil, err
	}
	searcher, err := search.NewService(search.Config{Store: b.Store, Questions: b.QueryEmbeddings, EmbedTimeout: config.SearchTimeout, Metrics: b.Metrics})
	if err != nil {
		return nil, err
	}
	summaries, err := summaryEstimates(config, b)
	if err != nil {
		return nil, err
	}
	reindexer, err := reindex.NewService(reindex.ServiceConfig{
		Store:              b.Store,
		Objects:            b.Objects,
		Embedder:           b.QueryModels, // a person waits
		Summaries:          summaries,
		DefaultSummaryMode: document.SummaryMode(config.Summaries),
		Changes:            b.Progress,
		Dispatcher:         b.Dispatcher,
		Prices:             config.Prices,
		Soak:               config.ReindexSoak,
		Log:                b.Log,
	})
	if err != nil {
		return nil, err
	}
	controller, err := jobs.NewService(jobs.Config{
		Store: b.Store, Changes: b.Progress, Dispatcher: b.Dispatcher, Models: b.RateLimiter, DefaultSummaryMode: document.SummaryMode(config.Summaries),
	})
	if err != nil {
		return nil, err
	}
	adder, err := webhooks.NewService(webhooks.ServiceConfig{Store: b.Store, URLs: b.Webhooks})
	if err != nil {
		return nil, err
	}
	health, err := apiHealth(config, b)
	if err != nil {
		return nil, err
	}
	return httpapi.New(httpapi.Config{
		Uploader:      uploader,
		Searcher:      searcher,
		Reindexer:     reindexer,
		Reindexes:     b.Store,
		JobController: controller,
		WebhookAdder:  adder,
		Webhooks:      b.Store,
		Documents:     b.Store,
		Collections:   b.Store,
		Jobs:          b.Store,
		Originals:     originals,
		Progress:      jobProgress{b.Progress},

		Health:  health,
		Metrics: b.Metrics,
		Log:     b.Log,

		APIKey:             config.APIKey,
		DefaultSummaryMode: document.SummaryMode(config.Summaries),
		MaxUploadBytes:     config.MaxUploadBytes,
		BodyTimeout:        config.UploadTimeout,
		Stopping:           ctx.Done(),
	})
}

// apiHealth returns the health of the API. Redis is optional: without it the API accepts uploads,
// searches, and answers requests about jobs.
func apiHealth(config Config, b *Backends) (http.Handler, error) {
	checks := b.readinessChecks()
	checks["redis"] = telemetry.Check{Test: b.Queue.Ping, Optional: true}
	return telemetry.NewHealthHandler(telemetry.HealthConfig{Metrics: b.Metrics, Checks: checks, Trusted: config.isTrusted})
}

// jobProgress reads the progress of jobs for the HTTP API.
type jobProgress struct{ progress *progress.Store }

// RefreshProgress implements httpapi.Progress. The database is authoritative: progress from Redis is
// used only for a task that is running according to the job, and only if it is of the same attempt.
func (o jobProgress) RefreshProgress(ctx context.Context, job *document.Job) {
	snapshot, err := o.progress.Progress(ctx, job.ID)
	if err != nil {
		return
	}
	if k := &job.Tasks.Knowledge; k.State == document.JobRunning && snapshot.Knowledge != nil && snapshot.Knowledge.Attempt == k.Attempt {
		k.KnowledgeProgress = snapshot.Knowledge.Progress
	}
	if s := &job.Tasks.Summary; s.State == document.JobRunning && snapshot.Summary != nil && snapshot.Summary.Attempt == s.Attempt {
		s.SummaryProgress = snapshot.Summary.Progress
	}
}

// Watch implements httpapi.Progress.
func (o jobProgress) Watch(ctx context.Context, job uuid.UUID) (<-chan struct{}, func()) {
	changes, stop, err := o.progress.Watch(ctx, job)
	if err != nil {
		return nil, func() {}
	}
	return changes, stop
}
