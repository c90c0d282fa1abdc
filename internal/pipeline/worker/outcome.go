package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/task"
)

const (
	firstBackoff = time.Second
	maxBackoff   = time.Minute

	// defaultWait is how long a task waits for a dependency that does not say
	// when to come again. maxWait is the longest wait: the dependency may be
	// back sooner than it said, or an operator may have lifted a hold, and to
	// look costs no request to a model that is held. maxJitter is the most that
	// is added to any wait.
	defaultWait = 5 * time.Second
	maxWait     = time.Minute
	maxJitter   = 10 * time.Second

	// saveOutcomeInterval is the time between attempts at writing an outcome while
	// the store is down.
	saveOutcomeInterval = time.Second
)

// finishAttempt records what became of the attempt and returns when to deliver the
// task again. It tries to until longer ends, when ctx has.
func (r *Runner) finishAttempt(ctx, longer context.Context, work task.Work, err error) time.Duration {
	kind := string(work.Kind)
	switch {
	case err == nil:
		r.Metrics.ObserveTask(kind, "done")
		r.Changes.NotifyChange(ctx, work.JobID)
		return 0
	case fault.Is(err, fault.LeaseLost):
		r.logLeaseLost(ctx, work)
		return 0
	}
	outcome := DecideOutcome(err, work.Attempt, ctx.Err() != nil)
	r.Metrics.ObserveTask(kind, string(outcome.Verdict))
	r.Log.Log(ctx, logLevel(outcome, err), "task not done", "task", work.String(), "attempt", work.Attempt, "crashes", work.Crashes,
		"verdict", outcome.Verdict, "delay", outcome.Delay, "error", err)
	switch err := r.saveOutcome(longer, work, outcome); {
	case fault.Is(err, fault.LeaseLost):
		// The attempt's last write, or this one, may have ended the lease, and a
		// broken connection taken the answer. Who delivers a task that is not
		// there to be run is told so.
		r.logLeaseLost(ctx, work)
	case err != nil:
		// The lease runs out by itself, and the sweep dispatches the task again.
		r.Log.ErrorContext(ctx, "outcome not recorded", "task", work.String(), "error", err)
		return r.LeaseTTL
	}
	r.Changes.NotifyChange(ctx, work.JobID)
	return outcome.Delay
}

// logLeaseLost notes that the task is no longer ours, as far as is known.
func (r *Runner) logLeaseLost(ctx context.Context, work task.Work) {
	r.Metrics.ObserveTask(string(work.Kind), "lost")
	r.Log.InfoContext(ctx, "task has been cancelled, taken over by another worker, or ended by a write whose answer was lost", "task", work.String())
}

// logLevel returns how loudly to say that a task is not done.
func logLevel(outcome task.Outcome, err error) slog.Level {
	switch {
	case outcome.Verdict == task.VerdictFail:
		return slog.LevelError
	case outcome.Verdict == task.VerdictRetry:
		return slog.LevelWarn
	case errors.Is(err, errCrashLaneFull): // every few seconds
		return slog.LevelDebug
	default: // what is down or busy says so itself
		return slog.LevelInfo
	}
}

// saveOutcome writes the outcome. While the store is down it keeps trying: a lease
// that runs out counts as a crash, which this is not.
func (r *Runner) saveOutcome(ctx context.Context, work task.Work, outcome task.Outcome) error {
	for {
		err := r.Store.RecordOutcome(ctx, work, outcome)
		if !fault.Is(err, fault.Unavailable) {
			return err
		}
		select {
		case <-time.After(saveOutcomeInterval):
		case <-ctx.Done():
			return err
		}
	}
}

// DecideOutcome says what becomes of a task from the error of its attempt:
//
//   - a dependency that is down, busy or not configured right, and a process
//     that is stopping, cost no attempt: wait;
//   - what is wrong with the document, the request or the model's answer will
//     be wrong next time too: fail;
//   - anything else is retried, with back-off, until attempts run out.
func DecideOutcome(err error, attempt int, stopping bool) task.Outcome {
	outcome := task.Outcome{Error: publicMessage(err)}
	switch kind := fault.KindOf(err); {
	case stopping:
		outcome.Verdict, outcome.Error = task.VerdictWait, ""
		outcome.Delay = time.Millisecond // at once, but by another process
	case kind == fault.Unavailable, kind == fault.RateLimited, kind == fault.Misconfigured:
		outcome.Verdict = task.VerdictWait
		outcome.Delay = jitter(min(retryAfterOr(err, defaultWait), maxWait))
	case kind != fault.Internal && kind != fault.InterruptedResponse:
		outcome.Verdict = task.VerdictFail
	case attempt >= maxAttempts:
		outcome.Verdict = task.VerdictFail
		outcome.Error = fmt.Sprintf("given up after %d attempts: %s", maxAttempts, outcome.Error)
	default:
		outcome.Verdict = task.VerdictRetry
		outcome.Delay = backoff(attempt)
	}
	return outcome
}

// publicMessage returns what a client may know of err. An internal failure is in
// the log, whole; its text could name hosts and statements.
func publicMessage(err error) string {
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

// jitter returns d or somewhat more, so that tasks that wait for the same thing
// do not come back in the same instant, and none before it is due.
func jitter(d time.Duration) time.Duration {
	return d + rand.N(min(max(d/4, time.Second), maxJitter))
}

// retryAfterOr returns how long err asks to wait, or otherwise.
func retryAfterOr(err error, otherwise time.Duration) time.Duration {
	if f := fault.As(err); f != nil && f.RetryAfter > 0 {
		return f.RetryAfter
	}
	return otherwise
}
