package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/seed-7a112592/gristmill/internal/required"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/telemetry"
)

// RecovererStore notices processes that have died, and reclaims their tasks; see
// storetest.Processes for the contract.
type RecovererStore interface {
	TenantsWithWork(ctx context.Context) ([]string, error)
	WatchProcesses(ctx context.Context, died func(ctx context.Context, process int64) error)
	ReclaimTasks(ctx context.Context, process int64, left time.Duration) (reclaimed []task.Dispatch, more bool, err error)
}

// Queue delivers tasks to workers. Enqueueing a task twice is harmless.
type Queue interface {
	Enqueue(ctx context.Context, dispatches ...task.Dispatch) error
}

// RecovererConfig is what a Recoverer needs.
type RecovererConfig struct {
	Store    RecovererStore
	Queue    Queue
	LeaseTTL time.Duration // of a lease when it was renewed
	Log      *slog.Logger
}

// Recoverer gives the tasks of dead processes to other workers.
type Recoverer struct{ RecovererConfig }

// NewRecoverer returns a Recoverer, or an error that names what config lacks.
func NewRecoverer(config RecovererConfig) (*Recoverer, error) {
	if err := required.Fields(config); err != nil {
		return nil, err
	}
	return &Recoverer{config}, nil
}

// minSinceRenewal is how long a lease must not have been renewed before it is reclaimed. A
// process that has only lost its connection still renews its leases.
const minSinceRenewal = 5 * time.Second

// Run announces that this process is alive, and recovers the tasks of other processes that die,
// until ctx ends.
func (r *Recoverer) Run(ctx context.Context) { r.Store.WatchProcesses(ctx, r.recoverTasks) }

// recoverTasks puts the tasks of a dead process back into the queue.
func (r *Recoverer) recoverTasks(ctx context.Context, process int64) error {
	tenants, err := r.Store.TenantsWithWork(ctx)
	if err != nil {
		return fmt.Errorf("list tenants with work: %w", err)
	}
	var tasks int
	var errs []error
	for _, id := range tenants {
		reclaimed, more, err := r.Store.ReclaimTasks(telemetry.WithTenant(ctx, id), process, r.LeaseTTL-minSinceRenewal)
		switch {
		case err != nil:
			errs = append(errs, err)
		case more:
			errs = append(errs, fmt.Errorf("some leases of process %d cannot be reclaimed yet", process))
		}
		// The sweep finds tasks that cannot be enqueued now.
		errs = append(errs, r.Queue.Enqueue(ctx, reclaimed...))
		tasks += len(reclaimed)
	}
	if tasks > 0 {
		r.Log.WarnContext(ctx, "a worker has died; its tasks, and those that it may have taken from the queue, go to other workers", "process", process, "tasks", tasks)
	}
	return errors.Join(errs...)
}
