// Package sweep keeps the promises over time: it dispatches work that the
// queue has lost, and removes what no reader can see any more.
package sweep

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/goroutine"
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
	DropSpaces(ctx context.Context, limit int) (int, error)
	DropOrphans(ctx context.Context, quiet time.Duration, limit int) (int, error)
	DropSections(ctx context.Context, quiet time.Duration, limit int) (int, error)
	DropIdempotencyKeys(ctx context.Context, age time.Duration, limit int) (int, error)
	DropDeliveries(ctx context.Context, age time.Duration, limit int) (int, error)
	Exclusively(ctx context.Context, name string, fn func(ctx context.Context) error) error
}

// Objects holds originals. Delete also removes what was written of one whose
// upload broke off; deleting one that is gone already is no error.
type Objects interface {
	Delete(ctx context.Context, name string) error
}

// Queue takes tasks to workers. Enqueueing one twice is harmless. Lost reports
// whether all that was in it when Filled was called last is gone.
type Queue interface {
	Enqueue(ctx context.Context, dispatches ...document.Dispatch) error
	Lost(ctx context.Context) (bool, error)
	Filled(ctx context.Context) error
}

// Dispatcher puts into the queue what there is room for. It does not fail.
type Dispatcher interface {
	Dispatch(ctx context.Context)
}

// Sweeper sweeps.
type Sweeper struct {
	Store      Store
	Objects    Objects
	Queue      Queue
	Dispatcher Dispatcher
	Log        *slog.Logger

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
	idle = 30 * time.Second

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

// Run sweeps until ctx ends: at once, and then on a timer. What was dispatched
// counts as lost when the queue has lost its data, and when a sweep has failed
// to fill it: then all of it goes there again, so that a queue that was down is
// as full as before soon after it is back.
func (s *Sweeper) Run(ctx context.Context) {
	quiet := idle
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		filled, err := s.sweep(ctx, quiet)
		switch {
		case filled:
			quiet = idle
		case err != nil:
			quiet = 0
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
// there. What is left over is removed also when the queue cannot be filled.
func (s *Sweeper) sweep(ctx context.Context, quiet time.Duration) (filled bool, err error) {
	sweep := func(ctx context.Context) error {
		tenants, err := s.Store.Tenants(ctx)
		if err != nil {
			return fmt.Errorf("list tenants: %w", err)
		}
		fillErr := s.fill(ctx, tenants, quiet)
		filled = fillErr == nil
		removeErr := s.remove(ctx, tenants)
		if removeErr != nil {
			removeErr = fmt.Errorf("remove what is left over: %w", removeErr)
		}
		return errors.Join(fillErr, removeErr)
	}
	err = goroutine.Try(func() error { return s.Store.Exclusively(ctx, "sweep", sweep) })
	return filled, err
}

// of returns a context for work in the name of a tenant.
func of(ctx context.Context, id string) context.Context {
	return telemetry.With(tenant.With(ctx, id), slog.String("tenant", id))
}
