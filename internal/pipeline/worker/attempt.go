package worker

import (
	"context"
	"time"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/goroutine"
	"github.com/seed-7a112592/gristmill/internal/task"
)

// runAttempt runs the step while the lease is kept. A worker that loses the lease
// stops; what it might still write is refused by the store. When ctx ends so
// does the step's context, and a step that does not heed that is left alone:
// nothing that it writes once the task is handed back is stored.
func (r *Runner) runAttempt(ctx context.Context, work task.Work) error {
	if ctx.Err() != nil { // it took until now to claim the task
		return ctx.Err()
	}
	if work.Attempt > maxAttempts {
		return fault.New(fault.Internal, "its worker was lost in %d of them: look for a crash in the worker's log, and on its machine for what may have killed it, such as a lack of memory; then retry the job, or resume the reindex", work.Crashes)
	}
	// A reindex may take hours, for which no other task should have to wait.
	if work.Crashes > 0 && work.Kind != task.KindReindex {
		release, err := r.CrashLane.acquire(ctx, work.Crashes)
		if err != nil {
			return err
		}
		defer release()
	}
	r.Changes.NotifyChange(ctx, work.JobID)

	patience, cancel := withGrace(ctx, r.DrainTimeout/2)
	defer cancel()
	leased, end := context.WithCancelCause(ctx)
	keeper := goroutine.Start(func() error {
		defer end(nil) // without a keeper the step must not go on
		r.keepLease(leased, work, end)
		return nil
	})
	done := goroutine.Start(func() error { return r.Step.Run(leased, work) })
	var err error
	select {
	case err = <-done:
	case <-patience.Done():
		r.Log.WarnContext(ctx, "leaving a step that does not end", "task", work.String(), "waited", r.DrainTimeout/2)
		err = ctx.Err()
	}
	lost := context.Cause(leased)
	end(nil)
	if failed := <-keeper; failed != nil {
		return failed
	}
	if err != nil && fault.Is(lost, fault.LeaseLost) {
		return lost
	}
	return err
}

// keepLease renews the lease until ctx ends, and ends it when the lease is lost.
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
			// The next tick tries again; writes stay fenced meanwhile.
			r.Log.WarnContext(ctx, "lease not renewed", "error", err)
		}
	}
}
