package worker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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

// fakeStore is a store with one task. It refuses what comes with a context that has
// ended, as a database does.
type fakeStore struct {
	mu       sync.Mutex
	attempt  int
	crashes  int
	claimErr error
	renewed  int
	renewErr error
	settled  []task.Outcome
	// settleErrs are met one after another.
	settleErrs []error

	dispatched int
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
	if len(r.settleErrs) > 0 {
		err := r.settleErrs[0]
		r.settleErrs = r.settleErrs[1:]
		return err
	}
	r.settled = append(r.settled, outcome)
	return nil
}

func (r *fakeStore) NotifyChange(context.Context, uuid.UUID) {}

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
	return &worker.Runner{
		Store: r, Step: step, Changes: r, Dispatcher: r,
		CrashLane:    worker.NewCrashLane(),
		Metrics:      telemetry.NewMetrics(),
		Log:          slog.New(slog.NewTextHandler(t.Output(), nil)),
		LeaseTTL:     worker.DefaultLeaseTTL,
		DrainTimeout: drainTimeout,
	}, r
}

var ref = task.Ref{Tenant: "default", DocumentID: uuid.New(), Version: 1, Kind: task.KindKnowledge}

func TestTaskThatIsDoneIsNotDeliveredAgain(t *testing.T) {
	t.Parallel()
	runner, rows := newRunner(t, func(context.Context, task.Work) error { return nil })
	if again := runner.Run(t.Context(), ref); again != 0 || len(rows.settled) != 0 {
		t.Errorf("again after %s, settled %v", again, rows.settled)
	}
}

// A worker that comes makes windows wider, and a task that ends makes room.
func TestWorkerDispatches(t *testing.T) {
	t.Parallel()
	var store *fakeStore
	want := 1 // when the step runs
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
		t.Errorf("dispatched %d times, want at the first task of the tenant and at the end of each", store.dispatched)
	}
}

func TestTaskThatCannotBeClaimed(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err        error
		again      time.Duration
		dispatched int
	}{
		{fault.New(fault.NotFound, "ended"), 0, 1}, // perhaps only now
		{fault.New(fault.Conflict, "leased"), 0, 0},
		{fault.New(fault.Unavailable, "too early").WithRetryAfter(9 * time.Second), 9 * time.Second, 0},
		{errors.New("database on fire"), time.Second, 0},
	} {
		runner, rows := newRunner(t, func(context.Context, task.Work) error {
			t.Error("ran a task that was not claimed")
			return nil
		})
		rows.claimErr = test.err
		if again := runner.Run(t.Context(), ref); again != test.again {
			t.Errorf("%v: again after %s, want %s", test.err, again, test.again)
		}
		if rows.dispatched != test.dispatched {
			t.Errorf("%v: dispatched %d times, want %d", test.err, rows.dispatched, test.dispatched)
		}
	}
}

// The log of a reindex does not call it a document, or a job.
func TestLogNamesWhatATaskIsAbout(t *testing.T) {
	t.Parallel()
	for kind, want := range map[task.Kind]string{task.KindKnowledge: " document=", task.KindReindex: " reindex="} {
		var log await.LogBuffer
		logger, err := telemetry.NewLogger(&log, "text", "info")
		if err != nil {
			t.Fatal(err)
		}
		runner, _ := newRunner(t, func(ctx context.Context, _ task.Work) error {
			logger.InfoContext(ctx, "at it")
			return nil
		})
		about := ref
		about.Kind = kind
		runner.Run(t.Context(), about)
		if line := log.String(); !strings.Contains(line, want+about.DocumentID.String()) || strings.Contains(line, " job=") != (kind == task.KindKnowledge) {
			t.Errorf("%s: %s", kind, line)
		}
	}
}
