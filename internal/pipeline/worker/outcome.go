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

	// defaultWait is how long a task waits for a dependency that does not say how long. maxWait is
	// the longest wait: the dependency may be back sooner than it said, or an operator may have
	// lifted a hold, and a new attempt sends no request to a model that is still held. maxJitter
	// is the maximum that is added to any wait.
	defaultWait = 5 * time.Second
	maxWait     = time.Minute
	maxJitter   = 10 * time.Second

	// saveOutcomeInterval is the time between attempts to record an outcome while the store is
	// down.
	saveOutcomeInterval = time.Second
)

// finishAttempt records the outcome of the attempt and returns the delay before redelivery, 0 for
// none. After ctx has ended it goes on until draining ends.
func (r *Runner) finishAttempt(ctx, draining context.Context, work task.Work, err error) time.Duration {
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
	r.Log.Log(ctx, logLevel(outcome, err), "attempt failed", "task", work.String(), "attempt", work.Attempt, "crashes", work.Crashes,
		"verdict", outcome.Verdict, "delay", outcome.Delay, "error", err)
	switch err := r.saveOutcome(draining, work, outcome); {
	case fault.Is(err, fault.LeaseLost):
		// The attempt's last write, or this one, may have succeeded and ended the lease although a
		// broken connection lost the response. A redelivery is harmless: Claim then says that there
		// is nothing to do.
		r.logLeaseLost(ctx, work)
	case err != nil:
		// The lease expires, and the sweep dispatches the task again.
		r.Log.ErrorContext(ctx, "outcome not recorded", "task", work.String(), "error", err)
		return r.LeaseTTL
	}
	r.Changes.NotifyChange(ctx, work.JobID)
	return outcome.Delay
}

// logLeaseLost logs and counts that this worker no longer holds the lease.
func (r *Runner) logLeaseLost(ctx context.Context, work task.Work) {
	r.Metrics.ObserveTask(string(work.Kind), "lost")
	r.Log.InfoContext(ctx, "lease lost: the task was cancelled, claimed by another worker, or ended by a write whose response was lost", "task", work.String())
}

// logLevel returns the level at which a failed attempt is logged.
func logLevel(outcome task.Outcome, err error) slog.Level {
	switch {
	case outcome.Verdict == task.VerdictFail:
		return slog.LevelError
	case outcome.Verdict == task.VerdictRetry:
		return slog.LevelWarn
	case errors.Is(err, errCrashLaneFull): // every few seconds
		return slog.LevelDebug
	default: // the log shows elsewhere what is down or busy
		return slog.LevelInfo
	}
}

// saveOutcome records the outcome. It tries again while the store is down, because a lease that
// expires would count as a crash.
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

// DecideOutcome decides how a task goes on after an attempt that failed with err:
//
//   - wait if a dependency is down, busy or misconfigured, or the process is stopping; this uses up
//     no attempt;
//   - fail if the document, the request or the model's response is wrong, because it would be
//     wrong again;
//   - otherwise retry with back-off, and fail after the last attempt.
func DecideOutcome(err error, attempt int, stopping bool) task.Outcome {
	outcome := task.Outcome{Error: fault.Describe(err)}
	switch kind := fault.KindOf(err); {
	case stopping:
		outcome.Verdict, outcome.Error = task.VerdictWait, ""
		outcome.Delay = time.Millisecond // immediately, in another process
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

// backoff returns a random delay that doubles with each attempt, with full jitter, so that tasks
// that failed together do not come back together.
func backoff(attempt int) time.Duration {
	ceiling := min(firstBackoff<<(attempt-1), maxBackoff)
	return time.Millisecond + rand.N(ceiling)
}

// jitter returns d or somewhat more, so that tasks that wait for the same thing do not come back at
// the same moment, and none before it is due.
func jitter(d time.Duration) time.Duration {
	return d + rand.N(min(max(d/4, time.Second), maxJitter))
}

// retryAfterOr returns the delay that err asks for, or otherwise if it asks for none.
func retryAfterOr(err error, otherwise time.Duration) time.Duration {
	if f := fault.As(err); f != nil && f.RetryAfter > 0 {
		return f.RetryAfter
	}
	return otherwise
}
