package worker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/pipeline/worker"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/telemetry"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/internal/test/await"
)

// fakeStore is a store with one task. Like a database, it refuses writes under a context that has
// ended.
type fakeStore struct {
	mu       sync.Mutex
	attempt  int
	crashes  int
	claimErr error
	renewed  int
	renewErr error
	recorded []task.Outcome
	// recordErrs are errors that RecordOutcome returns, one after another.
	recordErrs []error

	dispatched int
	notified   int
}

func (r *fakeStore) Claim(ctx context.Context, ref task.Ref, _ time.Duration) (task.Work, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if id, err := tenant.From(ctx); err != nil || id != ref.Tenant {
		return task.Work{}, fmt.Errorf("tenant %q, %v", id, err)
	}
	r.attempt++
	return task.Work{Ref: ref, JobID: uuid.New(), Lease: uuid.New(), Attempt: r.attempt, Crashes: r.crashes}, r.claimErr
}

func (r *fakeStore) RenewLease(context.Context, task.Work, time.Duration) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.renewed++
	return r.renewErr
}

func (r *fakeStore) RecordOutcome(ctx context.Context, _ task.Work, outcome task.Outcome) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(r.recordErrs) > 0 {
		err := r.recordErrs[0]
		r.recordErrs = r.recordErrs[1:]
		return err
	}
	r.recorded = append(r.recorded, outcome)
	return nil
}

func (r *fakeStore) NotifyChange(context.Context, uuid.UUID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notified++
}

func (r *fakeStore) Dispatch(context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dispatched++
}

type stepFunc func(ctx context.Context, work task.Work) error

func (f stepFunc) Run(ctx context.Context, work task.Work) error { return f(ctx, work) }

const drainTimeout = 3 * time.Second

func newRunner(t *testing.T, step stepFunc) (*worker.Runner, *fakeStore) {
	t.Helper()
	r := &fakeStore{}
	runner, err := worker.NewRunner(worker.RunnerConfig{
		Store: r, Step: step, Changes: r, Dispatcher: r,
		CrashLane:    worker.NewCrashLane(),
		Metrics:      telemetry.NewMetrics(),
		Log:          slog.New(slog.NewTextHandler(t.Output(), nil)),
		LeaseTTL:     worker.DefaultLeaseTTL,
		DrainTimeout: drainTimeout,
	})
	if err != nil {
		t.Fatal(err)
	}
	return runner, r
}

// scrape returns the metrics as Prometheus reads them.
func scrape(t *testing.T, metrics *telemetry.Metrics) string {
	t.Helper()
	response := httptest.NewRecorder()
	metrics.Handler().ServeHTTP(response, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	return response.Body.String()
}

var ref = task.Ref{Tenant: "default", DocumentID: uuid.New(), Version: 1, Kind: task.KindKnowledge}

func TestTaskThatSucceedsIsNotRedelivered(t *testing.T) {
	t.Parallel()
	runner, store := newRunner(t, func(context.Context, task.Work) error { return nil })
	if redeliver := runner.Run(t.Context(), ref); redeliver != 0 || len(store.recorded) != 0 {
		t.Errorf("redelivery after %s, recorded outcomes %v, want neither", redeliver, store.recorded)
	}
}

// A new worker makes dispatch windows wider, and a task that ends makes room.
func TestWorkerDispatches(t *testing.T) {
	t.Parallel()
	var store *fakeStore
	want := 1 // number of dispatches when the step runs
	runner, store := newRunner(t, func(context.Context, task.Work) error {
		if store.dispatched != want {
			t.Errorf("dispatched %d times, want %d", store.dispatched, want)
		}
		return nil
	})
	runner.Run(t.Context(), ref)
	want = 2
	runner.Run(t.Context(), ref)
	if store.dispatched != 3 {
		t.Errorf("dispatched %d times, want 3: at the first task of the tenant, and at the end of each task", store.dispatched)
	}
}

func TestTaskThatCannotBeClaimed(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err        error
		redeliver  time.Duration
		dispatched int
	}{
		{fault.New(fault.NotFound, "ended"), 0, 1}, // it may have ended only now, which makes room
		{fault.New(fault.Conflict, "leased"), 0, 0},
		{fault.New(fault.Unavailable, "too early").WithRetryAfter(9 * time.Second), 9 * time.Second, 0},
		{errors.New("database on fire"), time.Second, 0},
	} {
		runner, store := newRunner(t, func(context.Context, task.Work) error {
			t.Error("ran a task that was not claimed")
			return nil
		})
		store.claimErr = test.err
		if redeliver := runner.Run(t.Context(), ref); redeliver != test.redeliver {
			t.Errorf("%v: redelivery after %s, want %s", test.err, redeliver, test.redeliver)
		}
		if store.dispatched != test.dispatched {
			t.Errorf("%v: dispatched %d times, want %d", test.err, store.dispatched, test.dispatched)
		}
	}
}

// Log records of a reindex name neither a document nor a job.
func TestLogAttributesOfATask(t *testing.T) {
	t.Parallel()
	for kind, want := range map[task.Kind]string{task.KindKnowledge: " document=", task.KindReindex: " reindex="} {
		var log await.LogBuffer
		logger, err := telemetry.NewLogger(&log, "text", "info")
		if err != nil {
			t.Fatal(err)
		}
		runner, _ := newRunner(t, func(ctx context.Context, _ task.Work) error {
			logger.InfoContext(ctx, "running")
			return nil
		})
		named := ref
		named.Kind = kind
		runner.Run(t.Context(), named)
		if line := log.String(); !strings.Contains(line, want+named.DocumentID.String()) || strings.Contains(line, " job=") != (kind == task.KindKnowledge) {
			t.Errorf("%s: the log record is %s", kind, line)
		}
	}
}
