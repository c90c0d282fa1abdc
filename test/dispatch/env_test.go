package dispatch_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/seed-7a112592/gristmill/internal/backend/postgres"
	"github.com/seed-7a112592/gristmill/internal/backend/queue"
	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/pipeline/dispatch"
	"github.com/seed-7a112592/gristmill/internal/pipeline/jobs"
	"github.com/seed-7a112592/gristmill/internal/pipeline/sweep"
	"github.com/seed-7a112592/gristmill/internal/pipeline/worker"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/telemetry"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/internal/test/await"
	"github.com/seed-7a112592/gristmill/internal/test/database"
	"github.com/seed-7a112592/gristmill/internal/test/services"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// stopTimeout is how long a worker takes to stop: its steps finish, its tasks are released, its
// connections are closed.
const (
	finishTimeout = 200 * time.Millisecond
	drainTimeout  = 2 * time.Second
	stopTimeout   = finishTimeout + drainTimeout + time.Second
)

// testEnv is a database with the tenants "one" and "many", a queue, and the services that use them.
type testEnv struct {
	t          *testing.T
	log        *slog.Logger
	store      *postgres.Store
	redis      string // URL
	queue      *queue.Client
	dispatcher *dispatch.Dispatcher
	jobs       *jobs.Service
}

func newTestEnv(t *testing.T) *testEnv {
	t.Helper()
	m := &testEnv{t: t, log: slog.New(slog.NewTextHandler(t.Output(), nil)), redis: services.Redis(t)}
	m.store = newStore(t, m.log)
	client, err := queue.NewClient(queue.Config{RedisURL: m.redis})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	m.queue = client
	if m.dispatcher, err = dispatch.NewDispatcher(dispatch.Config{Store: m.store, Queue: client, Log: m.log}); err != nil {
		t.Fatal(err)
	}
	m.jobs, err = jobs.NewService(jobs.Config{
		Store: m.store, Changes: noProgress{}, Dispatcher: m.dispatcher, Models: noModels{}, DefaultSummaryMode: document.SummariesByModel,
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// newStore returns a store on a new database, with the tenants of the tests.
func newStore(t *testing.T, log *slog.Logger) *postgres.Store {
	t.Helper()
	d := database.New(t)
	d.Exec(t, "INSERT INTO tenants (id) VALUES ('one'), ('many')")
	store, err := postgres.Open(t.Context(), postgres.Config{URL: d.AppURL, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	return store
}

// tenantContext returns a context for a tenant.
func tenantContext(t *testing.T, id string) context.Context { return tenant.With(t.Context(), id) }

// accept accepts new documents of a tenant, as an upload does, and returns their knowledge tasks.
func (m *testEnv) accept(owner string, documents int) []task.Ref {
	m.t.Helper()
	ctx := tenantContext(m.t, owner)
	c, err := m.store.EnsureCollection(ctx, "default", document.Model{Name: "none", Dimensions: 3}, document.Chunking{Tokens: 400})
	if err != nil {
		m.t.Fatal(err)
	}
	tasks := make([]task.Ref, documents)
	for i := range tasks {
		object := owner + "/" + uuid.NewString()
		if err := m.store.BeginUpload(ctx, object); err != nil {
			m.t.Fatal(err)
		}
		accepted, err := m.store.AcceptUpload(ctx, original.Upload{Collection: c, Key: fmt.Sprint(i), Object: object, SHA256: object})
		if err != nil {
			m.t.Fatal(err)
		}
		m.dispatcher.Dispatch(ctx)
		tasks[i] = task.Ref{Tenant: owner, DocumentID: accepted.Document.ID, Version: 1, Kind: task.KindKnowledge}
	}
	return tasks
}

// stepFunc is the step of a task.
type stepFunc func(ctx context.Context, work task.Work) error

func (s stepFunc) Run(ctx context.Context, work task.Work) error { return s(ctx, work) }

// startWorker runs a worker until the test ends or stop is called. stop returns when the worker has
// stopped.
func (m *testEnv) startWorker(concurrency int, run stepFunc) (stop func()) {
	m.t.Helper()
	runner, err := worker.NewRunner(worker.RunnerConfig{
		Store: m.store, Step: run, Changes: noProgress{}, Dispatcher: m.dispatcher, CrashLane: worker.NewCrashLane(),
		Metrics: telemetry.NewMetrics(), Log: m.log, LeaseTTL: worker.DefaultLeaseTTL, DrainTimeout: drainTimeout / 2,
	})
	if err != nil {
		m.t.Fatal(err)
	}
	server, err := queue.NewServer(queue.ServerConfig{
		RedisURL: m.redis, Kind: task.KindKnowledge, Concurrency: concurrency, Log: m.log,
		FinishTimeout: finishTimeout, DrainTimeout: drainTimeout, CloseTimeout: stopTimeout - finishTimeout - drainTimeout,
	})
	if err != nil {
		m.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(m.t.Context())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		if err := server.Run(ctx, runner.Run); err != nil {
			m.t.Errorf("run the worker: %v", err)
		}
	}()
	stop = func() {
		cancel()
		<-stopped
	}
	m.t.Cleanup(stop)
	return stop
}

// startSweeper runs the sweeper until the test ends.
func (m *testEnv) startSweeper() {
	m.t.Helper()
	sweeper, err := sweep.NewSweeper(sweep.SweeperConfig{Store: m.store, Queue: m.queue, Dispatcher: m.dispatcher, Log: m.log})
	if err != nil {
		m.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(m.t.Context())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		sweeper.Run(ctx)
	}()
	m.t.Cleanup(func() { cancel(); <-stopped })
}

// publish ends a knowledge task that has no passages.
func (m *testEnv) publish(work task.Work) error {
	return m.store.Publish(tenantContext(m.t, work.Tenant), work, nil, document.KnowledgeProgress{})
}

// awaitKnowledgeEnd waits until the knowledge tasks of all the tenant's jobs have ended, cancels
// their remaining tasks, and returns the newest job.
func (m *testEnv) awaitKnowledgeEnd(owner string) document.Job {
	m.t.Helper()
	ctx := tenantContext(m.t, owner)
	var jobs []document.Job
	await.Until(m.t, "all knowledge tasks of tenant "+owner+" have ended", func() bool {
		list, err := m.store.Jobs(ctx, document.JobFilter{}, document.Page{Limit: 1000})
		if err != nil {
			m.t.Fatal(err)
		}
		jobs = list.Items
		for _, job := range jobs {
			if !job.Tasks.Knowledge.State.Ended() {
				return false
			}
		}
		return true
	})
	for i, job := range jobs {
		if job.State.Ended() {
			continue
		}
		var err error
		if jobs[i], err = m.store.CancelJob(ctx, job.ID); err != nil {
			m.t.Fatal(err)
		}
	}
	return jobs[0]
}

// queueDepth returns the number of entries in the knowledge queue.
func (m *testEnv) queueDepth() int {
	m.t.Helper()
	depths, err := m.queue.Depths(m.t.Context())
	if err != nil {
		m.t.Fatal(err)
	}
	return depths[task.KindKnowledge].Tasks
}

// flushRedis empties Redis.
func (m *testEnv) flushRedis() {
	m.t.Helper()
	options, err := redis.ParseURL(m.redis)
	if err != nil {
		m.t.Fatal(err)
	}
	client := redis.NewClient(options)
	defer client.Close()
	if err := client.FlushDB(m.t.Context()).Err(); err != nil {
		m.t.Fatal(err)
	}
}

// noProgress ignores changes of jobs.
type noProgress struct{}

func (noProgress) NotifyChange(context.Context, uuid.UUID) {}

// noModels holds no models.
type noModels struct{}

func (noModels) RetryHeldModels(context.Context) {}
