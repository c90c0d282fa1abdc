// Package task runs the tasks of jobs: it claims one, keeps its lease, runs
// its step, and decides, in one place, what becomes of it.
package task

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
	"github.com/seed-7a112592/gristmill/pkg/telemetry"
	"github.com/seed-7a112592/gristmill/pkg/tenant"
)

// Store hands out and settles work; see storetest.Tasks for the contract.
type Store interface {
	Claim(ctx context.Context, ref document.TaskRef, ttl time.Duration) (document.Work, error)
	Renew(ctx context.Context, work document.Work, ttl time.Duration) error
	Settle(ctx context.Context, work document.Work, outcome document.Outcome) error
}

// Step does the work of one kind of task. When it returns nil it has written
// the task's end itself, in the transaction that wrote its result.
type Step interface {
	Run(ctx context.Context, work document.Work) error
}

// Live is told that a job's state has changed.
type Live interface {
	Changed(ctx context.Context, job uuid.UUID)
}

// Dispatcher puts into the queue what there is room for. It does not fail.
type Dispatcher interface {
	Dispatch(ctx context.Context)
}

const (
	// DefaultLease is how long a worker may be silent before its task is
	// given to another.
	DefaultLease = 30 * time.Second

	// maxAttempts is after how many attempts a task that fails, or that
	// crashes its worker, is given up.
	maxAttempts = 3

	firstBackoff = time.Second
	maxBackoff   = time.Minute

	// settleTimeout bounds writing an outcome after the task's own context
	// has ended, as it has when the process is stopping.
	settleTimeout = 5 * time.Second
)

// Runner runs tasks of one kind.
type Runner struct {
	Store      Store
	Step       Step
	Live       Live
	Dispatcher Dispatcher
	Metrics    *telemetry.Metrics
	Log        *slog.Logger
	Lease      time.Duration // DefaultLease, but for tests
}

// Run runs one task, if it is there to be run, and returns after how long it
// should be delivered again: 0 for never.
func (r *Runner) Run(ctx context.Context, ref document.TaskRef) (again time.Duration) {
	ctx = tenant.With(ctx, ref.Tenant)
	ctx = telemetry.With(ctx, slog.String("tenant", ref.Tenant), slog.String("document", ref.Document.String()))
	work, err := r.Store.Claim(ctx, ref, r.Lease)
	switch {
	case fault.Is(err, fault.NotFound):
		r.Log.DebugContext(ctx, "nothing to do", "task", ref.String(), "reason", err)
		r.Dispatcher.Dispatch(ctx)
		return 0
	case fault.Is(err, fault.Conflict):
		// The entry of whoever is at the task stays in the queue; if that one
		// is lost, the sweep dispatches the task again.
		r.Log.DebugContext(ctx, "somebody else is at the task", "task", ref.String())
		return 0
	case err != nil:
		r.Log.DebugContext(ctx, "task not claimed", "task", ref.String(), "error", err)
		return retryAfter(err, firstBackoff)
	}
	ctx = telemetry.With(ctx, slog.String("job", work.Job.String()))
	r.Live.Changed(ctx, work.Job)
	err = r.attempt(ctx, work)
	again = r.settle(ctx, work, err)
	if again == 0 {
		r.Dispatcher.Dispatch(ctx)
	}
	return again
}

// attempt runs the step while the lease is kept. A worker that loses the lease
// stops; what it might still write is refused by the store.
func (r *Runner) attempt(ctx context.Context, work document.Work) error {
	if work.Attempt > maxAttempts {
		return fault.New(fault.Internal, "the worker was lost during each of them; look for crashes in its log, then upload the document again")
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var keeper sync.WaitGroup
	keeper.Go(func() { r.keepLease(ctx, work, cancel) })
	err := r.Step.Run(ctx, work)
	lost := context.Cause(ctx)
	cancel(nil)
	keeper.Wait()
	if err != nil && fault.Is(lost, fault.LeaseLost) {
		return lost
	}
	return err
}

// keepLease renews the lease until ctx ends, and ends it when the lease is lost.
func (r *Runner) keepLease(ctx context.Context, work document.Work, lost context.CancelCauseFunc) {
	ticker := time.NewTicker(r.Lease / 3)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		err := r.Store.Renew(ctx, work, r.Lease)
		switch {
		case fault.Is(err, fault.LeaseLost):
			lost(err)
			return
		case err != nil && ctx.Err() == nil:
			// The next tick tries again; writes stay fenced meanwhile.
			r.Log.WarnContext(ctx, "lease not renewed", "error", err)
		}
	}
}

// settle records what became of the attempt and returns when to deliver the
// task again.
func (r *Runner) settle(ctx context.Context, work document.Work, err error) time.Duration {
	kind := string(work.Kind)
	if err == nil {
		r.Metrics.ObserveTask(kind, "done")
		r.Live.Changed(ctx, work.Job)
		return 0
	}
	stopping := ctx.Err() != nil
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	if fault.Is(err, fault.LeaseLost) {
		r.Metrics.ObserveTask(kind, "lost")
		r.Log.WarnContext(ctx, "task taken over by another worker", "task", work.String())
		return 0
	}

	outcome := Decide(err, work.Attempt, stopping)
	r.Metrics.ObserveTask(kind, string(outcome.Verdict))
	level := slog.LevelWarn
	if outcome.Verdict == document.VerdictFail {
		level = slog.LevelError
	}
	r.Log.Log(ctx, level, "task not done", "task", work.String(), "attempt", work.Attempt,
		"verdict", outcome.Verdict, "delay", outcome.Delay, "error", err)
	if err := r.Store.Settle(ctx, work, outcome); err != nil {
		// The lease runs out by itself, and the sweep dispatches the task again.
		r.Log.WarnContext(ctx, "outcome not recorded", "task", work.String(), "error", err)
		return r.Lease
	}
	r.Live.Changed(ctx, work.Job)
	return outcome.Delay
}

// Decide says what becomes of a task from the error of its attempt:
//
//   - a dependency that is down or busy, and a process that is stopping, cost
//     no attempt: wait;
//   - what is wrong with the document, the request or the model's answer will
//     be wrong next time too: fail;
//   - anything else is retried, with back-off, until attempts run out.
func Decide(err error, attempt int, stopping bool) document.Outcome {
	outcome := document.Outcome{Error: describe(err)}
	switch kind := fault.KindOf(err); {
	case stopping:
		outcome.Verdict, outcome.Error = document.VerdictWait, ""
		outcome.Delay = time.Millisecond // at once, but by another process
	case kind == fault.Unavailable, kind == fault.RateLimited:
		outcome.Verdict = document.VerdictWait
		outcome.Delay = retryAfter(err, 5*time.Second)
	case kind != fault.Internal:
		outcome.Verdict = document.VerdictFail
	case attempt >= maxAttempts:
		outcome.Verdict = document.VerdictFail
		outcome.Error = fmt.Sprintf("given up after %d attempts: %s", maxAttempts, outcome.Error)
	default:
		outcome.Verdict = document.VerdictRetry
		outcome.Delay = backoff(attempt)
	}
	return outcome
}

// describe returns what a client may know of err. An internal failure is in
// the log, whole; its text could name hosts and statements.
func describe(err error) string {
	if f := fault.As(err); f != nil {
		return f.Detail
	}
	return "internal error; see the worker's log"
}

// backoff returns a random delay that doubles with each attempt, with full
// jitter so that tasks that failed together do not come back together.
func backoff(attempt int) time.Duration {
	ceiling := min(firstBackoff<<(attempt-1), maxBackoff)
	return time.Millisecond + rand.N(ceiling)
}

// retryAfter returns how long err asks to wait, or otherwise.
func retryAfter(err error, otherwise time.Duration) time.Duration {
	if f := fault.As(err); f != nil && f.RetryAfter > 0 {
		return f.RetryAfter
	}
	return otherwise
}
