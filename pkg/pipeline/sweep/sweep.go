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
	Abandoned(ctx context.Context, quiet time.Duration, limit int) ([]string, error)
	EndUpload(ctx context.Context, object string) error
	DropOrphans(ctx context.Context, quiet time.Duration, limit int) (int, error)
	DropIdempotencyKeys(ctx context.Context, age time.Duration, limit int) (int, error)
	DropDeliveries(ctx context.Context, age time.Duration, limit int) (int, error)
	Exclusively(ctx context.Context, name string, fn func(ctx context.Context) error) error
}

// Objects holds originals. Delete also removes what was written of one whose
// upload broke off; deleting one that is gone already is no error.
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

	// Grace is how long what nobody refers to is left alone, since somebody
	// may yet: an object whose upload is under way, and a passage that a failed
	// attempt has paid for.
	Grace time.Duration
}

// DefaultGrace is longer than any upload should take, and leaves time to see
// why a job failed and to retry it.
const DefaultGrace = 24 * time.Hour

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

	// keepKeys is how long an idempotency key is good for.
	keepKeys = 24 * time.Hour

	// keepDeliveries is how long it can be seen what became of a delivery to a
	// webhook.
	keepDeliveries = 7 * 24 * time.Hour

	// batch is how many rows one transaction touches.
	batch = 500

	// removeTime is how long one sweep removes things. The next one goes on:
	// there may be very many, and dispatching must not wait for them.
	removeTime = 10 * time.Second
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
			if err := s.dispatch(of(ctx, id), quiet); err != nil {
				return fmt.Errorf("dispatch what is due: %w", err)
			}
		}
		if err := s.remove(ctx, tenants); err != nil {
			return fmt.Errorf("remove what is left over: %w", err)
		}
		return nil
	})
}

// of returns a context for work in the name of a tenant.
func of(ctx context.Context, id string) context.Context {
	return telemetry.With(tenant.With(ctx, id), slog.String("tenant", id))
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
