// Package sweep does periodic work: the Sweeper dispatches tasks that the queue has lost, and the
// GarbageCollector deletes data that no reader can see.
package sweep

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/seed-7a112592/gristmill/internal/goroutine"
	"github.com/seed-7a112592/gristmill/internal/required"
	"github.com/seed-7a112592/gristmill/internal/task"
)

// Store knows which tasks are overdue; see storetest.Dispatching and Sweeping for the contract.
type Store interface {
	TenantsWithWork(ctx context.Context) ([]string, error)
	Backlog(ctx context.Context) (task.Backlog, error)
	RedispatchOverdue(ctx context.Context, idle time.Duration, limit int) ([]task.Dispatch, error)
	TryWithLock(ctx context.Context, name string, fn func(ctx context.Context) error) error
}

// Queue delivers tasks to workers. Enqueueing a task twice is harmless. DataLost reports whether
// the queue has lost the data that it held at the last MarkFilled. RequeueAbandoned puts tasks
// back that were taken from the queue some time ago and that no worker runs, and returns their
// number.
type Queue interface {
	Enqueue(ctx context.Context, dispatches ...task.Dispatch) error
	RequeueAbandoned(ctx context.Context) (int, error)
	DataLost(ctx context.Context) (bool, error)
	MarkFilled(ctx context.Context) error
}

// Dispatcher puts tasks into the queue while there is room. It does not fail.
type Dispatcher interface {
	Dispatch(ctx context.Context)
}

// SweeperConfig is what a Sweeper needs.
type SweeperConfig struct {
	Store      Store
	Queue      Queue
	Dispatcher Dispatcher
	Log        *slog.Logger
}

// Sweeper keeps the queue filled. Garbage is the work of the GarbageCollector, so that filling
// the queue never waits for deletions.
type Sweeper struct{ SweeperConfig }

// NewSweeper returns a Sweeper, or an error that names what config lacks.
func NewSweeper(config SweeperConfig) (*Sweeper, error) {
	if err := required.Fields(config); err != nil {
		return nil, err
	}
	return &Sweeper{config}, nil
}

const (
	// sweepInterval is the time between two sweeps, and between two rounds of garbage
	// collection. Together with redispatchAfter it bounds how long a task stays lost.
	sweepInterval = 10 * time.Second

	// redispatchAfter is how long after its dispatch a task is dispatched again if it has not
	// begun. That is harmless while the task is still queued.
	redispatchAfter = 30 * time.Second
)

// Run sweeps immediately and then on a timer, until ctx ends. If the queue has lost its data, or
// a sweep has failed to fill it, all dispatched tasks count as lost and are dispatched again. So
// a queue that was down is full again soon after it is back.
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
			s.Log.WarnContext(ctx, "sweep failed; the next sweep continues", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Sweep sweeps once, for every tenant, unless another process is sweeping. A task is overdue if
// its last dispatch was longer than quiet ago.
func (s *Sweeper) Sweep(ctx context.Context, quiet time.Duration) error {
	_, err := s.sweep(ctx, quiet)
	return err
}

// sweep implements Sweep. It reports whether the queue now holds all that it should hold.
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
