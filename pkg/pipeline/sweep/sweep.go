// Package sweep keeps the promises over time: it dispatches work that the
// queue has lost, and removes what no reader can see any more.
package sweep

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/telemetry"
	"github.com/seed-7a112592/gristmill/pkg/tenant"
)

// Store knows what is due and what remains; see storetest.Sweeping for the
// contract.
type Store interface {
	Tenants(ctx context.Context) ([]string, error)
	Due(ctx context.Context, idle time.Duration, limit int) ([]document.Dispatch, error)
	Remains(ctx context.Context, quiet time.Duration, limit int) ([]document.Remains, error)
	Forget(ctx context.Context, remains document.Remains) error
	DropOrphans(ctx context.Context, limit int) (int, error)
	Exclusively(ctx context.Context, name string, fn func(ctx context.Context) error) error
}

// Objects holds originals. Deleting one that is gone already is no error.
type Objects interface {
	Delete(ctx context.Context, name string) error
}

// Queue makes work happen sooner; see ingest.Queue.
type Queue interface {
	Enqueue(ctx context.Context, dispatches ...document.Dispatch) error
}

// Sweeper sweeps.
type Sweeper struct {
	Store   Store
	Objects Objects
	Queue   Queue
	Log     *slog.Logger
}

const (
	// interval is how often the sweep runs. With idle it bounds how long a
	// task that the queue has lost stays lost.
	interval = 10 * time.Second

	// idle is how long a dispatched task may lie before it is dispatched
	// again. Doing so is harmless while it is still queued.
	idle = 45 * time.Second

	// keepJobs is how long a superseded version's job can still be asked for
	// after its end.
	keepJobs = time.Hour

	// batch is how many rows one transaction touches.
	batch = 500
)

// Run sweeps until ctx ends: at once, taking everything that is not done for
// lost when restarted says so, and then on a timer.
func (s *Sweeper) Run(ctx context.Context, restarted bool) {
	quiet := idle
	if restarted {
		quiet = 0
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		if err := s.Sweep(ctx, quiet); err != nil && ctx.Err() == nil {
			s.Log.WarnContext(ctx, "sweep cut short; the next one goes on", "error", err)
		} else {
			quiet = idle
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
	return s.Store.Exclusively(ctx, "sweep", func(ctx context.Context) error {
		tenants, err := s.Store.Tenants(ctx)
		if err != nil {
			return fmt.Errorf("list tenants: %w", err)
		}
		for _, id := range tenants {
			ctx := telemetry.With(tenant.With(ctx, id), slog.String("tenant", id))
			if err := s.dispatch(ctx, quiet); err != nil {
				return fmt.Errorf("dispatch what is due: %w", err)
			}
			if err := s.remove(ctx); err != nil {
				return fmt.Errorf("remove what is left over: %w", err)
			}
		}
		return nil
	})
}

// dispatch enqueues what should be in the queue. Tasks that cannot be enqueued
// now are due again after the next quiet time.
func (s *Sweeper) dispatch(ctx context.Context, quiet time.Duration) error {
	for {
		due, err := s.Store.Due(ctx, quiet, batch)
		if err != nil {
			return err
		}
		if len(due) == 0 {
			return nil
		}
		if err := s.Queue.Enqueue(ctx, due...); err != nil {
			return err
		}
		s.Log.InfoContext(ctx, "dispatched tasks that were due", "tasks", len(due))
		if len(due) < batch {
			return nil
		}
	}
}

// remove removes objects, then the rows that named them, then passages that
// stand nowhere any more. In this order a crash leaves nothing that the next
// sweep does not find.
func (s *Sweeper) remove(ctx context.Context) error {
	for {
		remains, err := s.Store.Remains(ctx, keepJobs, batch)
		if err != nil {
			return err
		}
		for _, r := range remains {
			if r.Object != "" {
				if err := s.Objects.Delete(ctx, r.Object); err != nil {
					return err
				}
			}
			if err := s.Store.Forget(ctx, r); err != nil {
				return err
			}
		}
		if len(remains) < batch {
			break
		}
	}
	for {
		dropped, err := s.Store.DropOrphans(ctx, batch)
		if err != nil {
			return err
		}
		if dropped < batch {
			return nil
		}
	}
}
