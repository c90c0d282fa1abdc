// Package sweep keeps the promises over time: it dispatches work that the
// queue has lost, and removes what no reader can see any more.
package sweep

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/seed-7a112592/gristmill/internal/goroutine"
	"github.com/seed-7a112592/gristmill/internal/task"
)

// Store knows what is due; see storetest.Dispatching for the contract.
type Store interface {
	TenantsWithWork(ctx context.Context) ([]string, error)
	Backlog(ctx context.Context) (task.Backlog, error)
	RedispatchOverdue(ctx context.Context, idle time.Duration, limit int) ([]task.Dispatch, error)
	TryWithLock(ctx context.Context, name string, fn func(ctx context.Context) error) error
}

// Queue takes tasks to workers. Enqueueing one twice is harmless. Lost reports
// whether all that was in it when Filled was called last is gone.
// RequeueAbandoned puts back what was taken from it a while ago and no worker
// works at, and returns how much that is.
type Queue interface {
	Enqueue(ctx context.Context, dispatches ...task.Dispatch) error
	RequeueAbandoned(ctx context.Context) (int, error)
	DataLost(ctx context.Context) (bool, error)
	MarkFilled(ctx context.Context) error
}

// Dispatcher puts into the queue what there is room for. It does not fail.
type Dispatcher interface {
	Dispatch(ctx context.Context)
}

// Sweeper keeps the queue filled. What is garbage a Collector removes, so that
// filling never waits for it.
type Sweeper struct {
	Store      Store
	Queue      Queue
	Dispatcher Dispatcher
	Log        *slog.Logger
}

const (
	// sweepInterval is how often the sweep and the collection run. With idle it
	// bounds how long a task that the queue has lost stays lost.
	sweepInterval = 10 * time.Second

	// redispatchAfter is how long a dispatched task may lie before it is dispatched
	// again. Doing so is harmless while it is still queued.
	redispatchAfter = 30 * time.Second
)

// Run sweeps until ctx ends: at once, and then on a timer. What was dispatched
// counts as lost when the queue has lost its data, and when a sweep has failed
// to fill it: then all of it goes there again, so that a queue that was down is
// as full as before soon after it is back.
func (s *Sweeper) Run(ctx context.Context) {
	quiet := redispatchAfter
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	for {
		filled, err := s.sweep(ctx, quiet)
		switch {
		case filled:
			quiet = redispatchAfter
		case err != nil:
			quiet = redispatchAll
		}
		if err != nil && ctx.Err() == nil {
			s.Log.WarnContext(ctx, "sweep cut short; the next one goes on", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Sweep sweeps once, for every tenant, unless another process is sweeping. A
// task is due again when its last dispatch was longer than quiet ago.
func (s *Sweeper) Sweep(ctx context.Context, quiet time.Duration) error {
	_, err := s.sweep(ctx, quiet)
	return err
}

// sweep is Sweep. It reports whether it has put into the queue whatever belongs
// there.
func (s *Sweeper) sweep(ctx context.Context, quiet time.Duration) (filled bool, err error) {
	sweep := func(ctx context.Context) error {
		tenants, err := s.Store.TenantsWithWork(ctx)
		if err != nil {
			return fmt.Errorf("list tenants with work: %w", err)
		}
		err = s.refillQueue(ctx, tenants, quiet)
		filled = err == nil
		return err
	}
	err = goroutine.Try(func() error { return s.Store.TryWithLock(ctx, "sweep", sweep) })
	return filled, err
}
