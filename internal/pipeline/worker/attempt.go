package worker

import (
	"context"
	"time"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/goroutine"
	"github.com/seed-7a112592/gristmill/internal/task"
)

// runAttempt runs the step and keeps the lease meanwhile. A worker that loses the lease stops; the
// store refuses what it still writes. When ctx ends, so does the context of the step. A step that
// does not return then is abandoned: after the task has been returned to the queue, the store
// refuses its writes.
func (r *Runner) runAttempt(ctx context.Context, work task.Work) error {
	if ctx.Err() != nil { // ctx has ended while the task was claimed
		return ctx.Err()
	}
	if work.Attempt > maxAttempts {
		return fault.New(fault.Internal, "its worker died in %d of them: look for a crash in the worker's log, and on its machine for what may have killed it, such as a lack of memory; then retry the job, or resume the reindex", work.Crashes)
	}
	// A reindex may take hours: other tasks must not wait for it in the crash lane.
	if work.Crashes > 0 && work.Kind != task.KindReindex {
		release, err := r.CrashLane.acquire(ctx, work.Crashes)
		if err != nil {
			return err
		}
		defer release()
	}
	r.Changes.NotifyChange(ctx, work.JobID)

	draining, cancel := withGrace(ctx, r.DrainTimeout/2)
	defer cancel()
	leased, end := context.WithCancelCause(ctx)
	renewal := goroutine.Start(func() error {
		defer end(nil) // the step must not go on when nothing renews the lease
		r.keepLease(leased, work, end)
		return nil
	})
	done := goroutine.Start(func() error { return r.Step.Run(leased, work) })
	var err error
	select {
	case err = <-done:
	case <-draining.Done():
		r.Log.WarnContext(ctx, "step does not stop; abandoning it", "task", work.String(), "waited", r.DrainTimeout/2)
		err = ctx.Err()
	}
	lost := context.Cause(leased)
	end(nil)
	if failed := <-renewal; failed != nil {
		return failed
	}
	if err != nil && fault.Is(lost, fault.LeaseLost) {
		return lost
	}
	return err
}

// keepLease renews the lease until ctx ends. When the lease is lost, it calls end with the error.
func (r *Runner) keepLease(ctx context.Context, work task.Work, end context.CancelCauseFunc) {
	ticker := time.NewTicker(min(renewInterval, r.LeaseTTL/3))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		err := r.Store.RenewLease(ctx, work, r.LeaseTTL)
		switch {
		case fault.Is(err, fault.LeaseLost):
			end(err)
			return
		case err != nil && ctx.Err() == nil:
			// The next tick tries again. Writes stay fenced meanwhile.
			r.Log.WarnContext(ctx, "lease not renewed", "error", err)
		}
	}
}
