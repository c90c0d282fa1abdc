package task_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
	"github.com/seed-7a112592/gristmill/pkg/pipeline/task"
	"github.com/seed-7a112592/gristmill/pkg/telemetry"
	"github.com/seed-7a112592/gristmill/pkg/tenant"
)

func TestDecide(t *testing.T) {
	t.Parallel()
	unavailable := fault.New(fault.Unavailable, "provider is down")
	for _, test := range []struct {
		name     string
		err      error
		attempt  int
		stopping bool
		verdict  document.Verdict
		text     string
	}{
		{"dependency down", fmt.Errorf("embed: %w", unavailable), 3, false, document.VerdictWait, "provider is down"},
		{"rate limited", fault.New(fault.RateLimited, "slow down").After(7 * time.Second), 1, false, document.VerdictWait, "slow down"},
		{"wrong answer", fault.New(fault.BadAnswer, "3 vectors for 4 texts"), 1, false, document.VerdictFail, "3 vectors for 4 texts"},
		{"refused by the provider", fault.New(fault.Forbidden, "wrong key"), 1, false, document.VerdictFail, "wrong key"},
		{"original gone", fault.New(fault.NotFound, "no such object"), 1, false, document.VerdictFail, "no such object"},
		{"defect, first", errors.New("pq: secret host"), 1, false, document.VerdictRetry, "internal error; see the worker's log"},
		{"defect, last", errors.New("pq: secret host"), 3, false, document.VerdictFail, "given up after 3 attempts: internal error; see the worker's log"},
		{"process stopping", context.Canceled, 3, true, document.VerdictWait, ""},
	} {
		got := task.Decide(test.err, test.attempt, test.stopping)
		if got.Verdict != test.verdict || got.Error != test.text {
			t.Errorf("%s: %+v, want %s with %q", test.name, got, test.verdict, test.text)
		}
		if again := got.Verdict == document.VerdictRetry || got.Verdict == document.VerdictWait; again != (got.Delay > 0) {
			t.Errorf("%s: %s after %s", test.name, got.Verdict, got.Delay)
		}
	}
	if got := task.Decide(fault.New(fault.RateLimited, "").After(7*time.Second), 1, false).Delay; got != 7*time.Second {
		t.Errorf("waits %s, was asked for 7s", got)
	}
}

func TestBackoffGrowsAndIsBounded(t *testing.T) {
	t.Parallel()
	for attempt, ceiling := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second} {
		for range 200 {
			if d := task.Decide(errors.New("x"), attempt, false).Delay; d <= 0 || d > ceiling+time.Millisecond {
				t.Fatalf("attempt %d waits %s, want at most %s", attempt, d, ceiling)
			}
		}
	}
}

// rows is a store with one task.
type rows struct {
	mu       sync.Mutex
	attempt  int
	claimErr error
	renewed  int
	renewErr error
	settled  []document.Outcome

	dispatched int
}

func (r *rows) Claim(ctx context.Context, ref document.TaskRef, _ time.Duration) (document.Work, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if id, err := tenant.From(ctx); err != nil || id != ref.Tenant {
		return document.Work{}, fmt.Errorf("tenant %q, %v", id, err)
	}
	r.attempt++
	return document.Work{TaskRef: ref, Job: uuid.New(), Lease: uuid.New(), Attempt: r.attempt}, r.claimErr
}

func (r *rows) Renew(context.Context, document.Work, time.Duration) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.renewed++
	return r.renewErr
}

func (r *rows) Settle(ctx context.Context, _ document.Work, outcome document.Outcome) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.settled = append(r.settled, outcome)
	return ctx.Err()
}

func (r *rows) Changed(context.Context, uuid.UUID) {}

func (r *rows) Dispatch(context.Context) { r.dispatched++ }

type stepFunc func(ctx context.Context, work document.Work) error

func (f stepFunc) Run(ctx context.Context, work document.Work) error { return f(ctx, work) }

func newRunner(t *testing.T, step stepFunc) (*task.Runner, *rows) {
	t.Helper()
	r := &rows{}
	return &task.Runner{
		Store: r, Step: step, Live: r, Dispatcher: r,
		Metrics: telemetry.NewMetrics(),
		Log:     slog.New(slog.NewTextHandler(t.Output(), nil)),
		Lease:   task.DefaultLease,
	}, r
}

var ref = document.TaskRef{Tenant: "default", Document: uuid.New(), Version: 1, Kind: document.Knowledge}

func TestTaskThatIsDoneIsNotDeliveredAgain(t *testing.T) {
	t.Parallel()
	runner, rows := newRunner(t, func(context.Context, document.Work) error { return nil })
	if again := runner.Run(t.Context(), ref); again != 0 || len(rows.settled) != 0 {
		t.Errorf("again after %s, settled %v", again, rows.settled)
	}
	if rows.dispatched != 1 {
		t.Error("did not dispatch what it made room for")
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
		{fault.New(fault.Unavailable, "too early").After(9 * time.Second), 9 * time.Second, 0},
		{errors.New("database on fire"), time.Second, 0},
	} {
		runner, rows := newRunner(t, func(context.Context, document.Work) error {
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

func TestTaskThatCrashesItsWorkerIsGivenUp(t *testing.T) {
	t.Parallel()
	runner, rows := newRunner(t, func(context.Context, document.Work) error {
		t.Error("ran once more")
		return nil
	})
	rows.attempt = 3
	if again := runner.Run(t.Context(), ref); again != 0 {
		t.Errorf("again after %s", again)
	}
	if len(rows.settled) != 1 || rows.settled[0].Verdict != document.VerdictFail || !strings.Contains(rows.settled[0].Error, "worker was lost") {
		t.Errorf("settled %+v", rows.settled)
	}
}

func TestLeaseIsKeptWhileTheStepRuns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		runner, rows := newRunner(t, func(ctx context.Context, _ document.Work) error {
			select {
			case <-time.After(time.Minute):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		if again := runner.Run(t.Context(), ref); again != 0 {
			t.Errorf("again after %s", again)
		}
		if rows.renewed < 5 {
			t.Errorf("renewed %d times in a minute with a lease of %s", rows.renewed, task.DefaultLease)
		}
	})
}

func TestWorkerThatLostItsLeaseStopsAndSettlesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		runner, rows := newRunner(t, func(ctx context.Context, _ document.Work) error {
			<-ctx.Done()
			return fmt.Errorf("embed: %w", ctx.Err())
		})
		rows.renewErr = fault.New(fault.LeaseLost, "lease lost")
		if again := runner.Run(t.Context(), ref); again != 0 || len(rows.settled) != 0 {
			t.Errorf("again after %s, settled %+v", again, rows.settled)
		}
	})
}

func TestStoppingProcessHandsItsTaskBack(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	runner, rows := newRunner(t, func(ctx context.Context, _ document.Work) error {
		stop()
		return fmt.Errorf("write: %w", ctx.Err())
	})
	runner.Run(ctx, ref)
	if len(rows.settled) != 1 || rows.settled[0].Verdict != document.VerdictWait {
		t.Errorf("settled %+v, want wait: stopping costs no attempt", rows.settled)
	}
}
