package app

import (
	"context"
	"log/slog"
	"net/http"
	"runtime/debug"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/backend/live"
	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/original"
	"github.com/seed-7a112592/gristmill/pkg/pipeline/ingest"
	"github.com/seed-7a112592/gristmill/pkg/pipeline/notify"
	"github.com/seed-7a112592/gristmill/pkg/pipeline/reindex"
	"github.com/seed-7a112592/gristmill/pkg/pipeline/search"
	"github.com/seed-7a112592/gristmill/pkg/pipeline/steer"
	"github.com/seed-7a112592/gristmill/pkg/server/httpapi"
	"github.com/seed-7a112592/gristmill/pkg/telemetry"
)

// RunAPI is the program cmd/api: the HTTP API on real servers.
func RunAPI(ctx context.Context, config Config, log *slog.Logger) error {
	return run(ctx, config, log, API)
}

// API returns the handler of the HTTP API. Requests that wait for a job are
// answered when ctx ends, so that the server can stop.
func API(ctx context.Context, config Config, b *Backends) http.Handler {
	originals := &original.Checker{Objects: b.Objects}
	return httpapi.New(httpapi.Config{
		Uploader: &ingest.Step{
			Objects:    b.Objects,
			Originals:  originals,
			Store:      b.Store,
			Dispatcher: b.Dispatcher,
			Log:        b.Log,
			MaxBytes:   config.MaxUploadBytes,
			Memory:     ingest.NewMemory(config.UploadMemory, newUploadHeap(debug.SetGCPercent, debug.FreeOSMemory, b.Log).follow),
			Limits:     document.Backlog{Jobs: config.MaxQueuedJobs, Bytes: config.MaxQueuedBytes},
			Model:      config.model(),
			Chunking:   config.chunking(),
			Unsettled:  b.Configured.Learn,
		},
		Searcher: &search.Step{Store: b.Store, Questions: b.Searched, EmbedTimeout: config.SearchTimeout, Metrics: b.Metrics},
		Reindexer: &reindex.Desk{
			Store:      b.Store,
			Objects:    b.Objects,
			Embedder:   b.Questions, // somebody waits
			Summaries:  summaryEstimates(config, b),
			Configured: document.SummaryMode(config.Summaries),
			Live:       b.Live,
			Dispatcher: b.Dispatcher,
			Prices:     config.Prices,
			Soak:       config.ReindexSoak,
			Log:        b.Log,
		},
		Reindexes:   b.Store,
		Steerer:     &steer.Step{Store: b.Store, Live: b.Live, Dispatcher: b.Dispatcher, Pace: b.Pace, Summaries: document.SummaryMode(config.Summaries)},
		Registrar:   &notify.Registrar{Webhooks: b.Store, Addresses: b.Webhooks},
		Webhooks:    b.Store,
		Documents:   b.Store,
		Collections: b.Store,
		Jobs:        b.Store,
		Originals:   originals,
		Live:        overlay{b.Live},

		Health:  apiHealth(config, b),
		Metrics: b.Metrics,
		Log:     b.Log,

		APIKey:         config.APIKey,
		Summaries:      document.SummaryMode(config.Summaries),
		MaxUploadBytes: config.MaxUploadBytes,
		BodyTimeout:    config.UploadTimeout,
		Stopping:       ctx.Done(),
	})
}

// apiHealth answers for the API, which accepts uploads, searches and answers
// for jobs without Redis.
func apiHealth(config Config, b *Backends) http.Handler {
	checks := b.checks()
	checks["redis"] = telemetry.Check{Test: b.Queue.Ping, Optional: true}
	return telemetry.Health{Metrics: b.Metrics, Checks: checks, Trusted: config.trusts}.Handler()
}

// overlay shows live state in the terms of the HTTP API.
type overlay struct{ live *live.Live }

// Overlay implements httpapi.Live. The row is the truth: live state only
// refreshes the progress of a task that the row says is running, and only that
// of the same attempt.
func (o overlay) Overlay(ctx context.Context, job *document.Job) {
	snapshot, err := o.live.Progress(ctx, job.ID)
	if err != nil {
		return
	}
	if k := &job.Tasks.Knowledge; k.State == document.Running && snapshot.Knowledge != nil && snapshot.Knowledge.Attempt == k.Attempt {
		k.KnowledgeProgress = snapshot.Knowledge.Progress
	}
	if s := &job.Tasks.Summary; s.State == document.Running && snapshot.Summary != nil && snapshot.Summary.Attempt == s.Attempt {
		s.SummaryProgress = snapshot.Summary.Progress
	}
}

// Watch implements httpapi.Live.
func (o overlay) Watch(ctx context.Context, job uuid.UUID) (<-chan struct{}, func()) {
	changes, stop, err := o.live.Watch(ctx, job)
	if err != nil {
		return nil, func() {}
	}
	return changes, stop
}
