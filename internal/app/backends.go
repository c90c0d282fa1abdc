package app

import (
	"context"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"time"

	"github.com/seed-7a112592/gristmill/internal/backend/blob"
	"github.com/seed-7a112592/gristmill/internal/backend/llm"
	"github.com/seed-7a112592/gristmill/internal/backend/postgres"
	"github.com/seed-7a112592/gristmill/internal/backend/progress"
	"github.com/seed-7a112592/gristmill/internal/backend/queue"
	"github.com/seed-7a112592/gristmill/internal/backend/webhook"
	"github.com/seed-7a112592/gristmill/internal/embedding"
	"github.com/seed-7a112592/gristmill/internal/goroutine"
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
	"github.com/seed-7a112592/gristmill/internal/writeback"
)

// Store is a database with the methods that all steps and the API need. storetest.Store states the
// contract of the methods.
type Store interface {
	ingest.Store
	dispatch.Store
	worker.Store
	knowledge.Store
	summary.Store
	search.Store
	reindex.Store
	reindex.ServiceStore
	jobs.Store
	sweep.Store
	sweep.GarbageCollectorStore
	spaces.Store
	worker.RecovererStore
	verify.ScrubberStore
	webhooks.Store
	webhooks.ServiceStore
	httpapi.Documents
	httpapi.Collections
	httpapi.Jobs
	httpapi.Reindexes
	httpapi.Webhooks
	Ping(ctx context.Context) error
}

// Objects is an object storage with the methods that all steps and the API need. blobtest.Store
// states the contract of the methods.
type Objects interface {
	Put(ctx context.Context, name string, r io.Reader) (original.ObjectInfo, error)
	Open(ctx context.Context, name string) (io.ReadSeekCloser, error)
	Delete(ctx context.Context, name string) error
	WriteBufferSize(size int64) int64
	Names(ctx context.Context, prefix string) iter.Seq2[string, error]
	Ping(ctx context.Context) error
}

// Backends are the backends of a process, and the objects that all its steps share. They use
// servers, or the embedded backends of dev mode; their users do not know which.
type Backends struct {
	Store           Store
	Objects         Objects
	Queue           *queue.Client
	Dispatcher      *dispatch.Dispatcher
	Progress        *progress.Store
	RateLimiter     *progress.RateLimiter
	WriteBreaker    *writeback.Breaker      // stops requests to models while the database accepts no writes
	Embedding       *embedding.ProcessState // shared by all caches of embeddings
	ConfiguredModel *embedding.ConfiguredModel
	Webhooks        *webhook.Sender
	TaskModels      llm.Models // for tasks
	QueryModels     llm.Models // for requests that a person waits for
	QueryEmbeddings *embedding.QueryEmbedder
	Metrics         *telemetry.Metrics
	Log             *slog.Logger

	// pingIndexer reports why vector indexes cannot be built, and pingSession why a lock cannot be
	// held for longer than a transaction. Both are Store.Ping unless connect knows more.
	pingIndexer, pingSession func(context.Context) error

	crashLane *worker.CrashLane
	close     []func() error
}

// connect opens the backends of a process on real servers. It does not wait for the servers: a
// backend connects when it is first used, and connects again when a connection is lost.
func connect(ctx context.Context, config Config, log *slog.Logger) (*Backends, error) {
	store, err := postgres.Open(ctx, postgres.Config{
		URL: config.DatabaseURL, DirectURL: config.DirectDatabaseURL, MaxConns: config.DatabaseConnections,
		IndexURL: config.IndexDatabaseURL, IndexWorkers: config.IndexWorkers, Recall: config.SearchRecall,
		MaxCollections: config.MaxCollections, Log: log,
	})
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	objects, err := blob.NewS3(s3Config(config))
	if err != nil {
		store.Close()
		return nil, fmt.Errorf("open the object storage: %w", err)
	}
	backends, err := NewBackends(config, store, objects, log)
	if err != nil {
		store.Close()
		return nil, err
	}
	backends.pingIndexer, backends.pingSession = store.PingIndexBuilder, store.PingSession
	backends.Metrics.RegisterPools(store.Pools)
	ctx, stop := context.WithCancel(ctx)
	bucket := goroutine.Start(func() error { makeBucket(ctx, objects, log); return nil })
	backends.close = append(backends.close, func() error {
		stop()
		err := <-bucket
		store.Close()
		return err
	})
	return backends, nil
}

func s3Config(config Config) blob.S3Config {
	return blob.S3Config{
		Endpoint:  config.S3Endpoint,
		AccessKey: config.S3AccessKey,
		SecretKey: config.S3SecretKey,
		Bucket:    config.S3Bucket,
		Region:    config.S3Region,
	}
}

// makeBucket creates the bucket if it is missing. It retries until it succeeds or ctx ends, because
// the server may start later than this process.
func makeBucket(ctx context.Context, objects *blob.S3, log *slog.Logger) {
	const pause = 2 * time.Second
	for {
		err := objects.EnsureBucket(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		log.WarnContext(ctx, "the bucket for originals cannot be created yet; trying again", "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// NewBackends returns backends that use the given store and objects, and the queue, progress and
// models that config names. Callers must close the backends first, and then the store and objects.
func NewBackends(config Config, store Store, objects Objects, log *slog.Logger) (_ *Backends, err error) {
	allowed, err := webhook.ParseNetworks(config.WebhookAllow)
	if err != nil {
		return nil, err
	}
	b := &Backends{
		Store: store, Objects: objects, Metrics: telemetry.NewMetrics(), Log: log,
		pingIndexer: store.Ping, pingSession: store.Ping, crashLane: worker.NewCrashLane(),
	}
	defer func() {
		if err != nil {
			b.Close()
		}
	}()
	if b.Queue, err = queue.NewClient(queue.Config{RedisURL: config.RedisURL}); err != nil {
		return nil, fmt.Errorf("open the queue: %w", err)
	}
	b.close = append(b.close, b.Queue.Close)
	b.Metrics.RegisterQueues(func(ctx context.Context) ([]telemetry.QueueDepth, error) { return queueDepths(ctx, b.Queue) })
	if b.Progress, err = progress.NewStore(progress.Config{RedisURL: config.RedisURL, Log: log}); err != nil {
		return nil, fmt.Errorf("open the progress store: %w", err)
	}
	b.close = append(b.close, b.Progress.Close)
	b.RateLimiter = progress.NewRateLimiter(b.Progress)
	if b.TaskModels, b.QueryModels, err = newModels(config, b.RateLimiter, b.Metrics, log); err != nil {
		return nil, err
	}
	b.Webhooks = webhook.NewSender(allowed)
	b.WriteBreaker = &writeback.Breaker{Log: log}
	b.close = append(b.close, b.Webhooks.Close)
	if b.Embedding, err = embedding.NewProcessState(embedding.ProcessConfig{Locks: b.Progress, WriteBreaker: b.WriteBreaker}); err != nil {
		return nil, err
	}
	b.ConfiguredModel, err = embedding.NewConfiguredModel(embedding.ConfiguredModelConfig{
		Embedder: b.TaskModels, Setting: config.defaultModel(), Chunking: config.defaultChunking(), Log: log,
	})
	if err != nil {
		return nil, err
	}
	b.close = append(b.close, b.ConfiguredModel.Close)
	if b.QueryEmbeddings, err = embedding.NewQueryEmbedder(embedding.QueryConfig{Embedder: b.QueryModels}); err != nil {
		return nil, err
	}
	b.close = append(b.close, b.QueryEmbeddings.Close)
	if b.Dispatcher, err = dispatch.NewDispatcher(dispatch.Config{Store: store, Queue: b.Queue, Log: log}); err != nil {
		return nil, err
	}
	return b, nil
}

// Close closes what NewBackends and connect have opened, in reverse order.
func (b *Backends) Close() {
	for i := len(b.close) - 1; i >= 0; i-- {
		if err := b.close[i](); err != nil {
			b.Log.WarnContext(context.Background(), "backend not closed cleanly", "error", err)
		}
	}
}

// queueDepths returns the depths of the queues in the form that telemetry needs.
func queueDepths(ctx context.Context, client *queue.Client) ([]telemetry.QueueDepth, error) {
	queues, err := client.Depths(ctx)
	if err != nil {
		return nil, err
	}
	var depths []telemetry.QueueDepth
	for kind, depth := range queues {
		depths = append(depths, telemetry.QueueDepth{Queue: string(kind), Tasks: depth.Tasks, OldestAge: depth.Age})
	}
	return depths, nil
}

// readinessChecks returns the checks of a worker's /readyz. Redis is required: a worker gets its
// tasks from the queue.
func (b *Backends) readinessChecks() map[string]telemetry.Check {
	return map[string]telemetry.Check{
		"database": {Test: b.Store.Ping},
		"objects":  {Test: b.Objects.Ping},
		"redis":    {Test: b.Queue.Ping},
		"models":   {Test: b.checkModels, Optional: true}, // without them documents wait, or become searchable without a summary
	}
}
