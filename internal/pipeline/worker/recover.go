package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/telemetry"
)

// RecovererStore knows which processes have died and what they were at; see
// storetest.Processes for the contract.
type RecovererStore interface {
	TenantsWithWork(ctx context.Context) ([]string, error)
	WatchProcesses(ctx context.Context, died func(ctx context.Context, process int64) error)
	ReclaimTasks(ctx context.Context, process int64, left time.Duration) (reclaimed []task.Dispatch, more bool, err error)
}

// Queue takes tasks to workers. Enqueuing a task twice is harmless.
type Queue interface {
	Enqueue(ctx context.Context, dispatches ...task.Dispatch) error
}

// Recoverer gives the tasks of processes that have died to others.
type Recoverer struct {
	Store    RecovererStore
	Queue    Queue
	LeaseTTL time.Duration // of a task when it was renewed
	Log      *slog.Logger
}

// minSinceRenewal is how long a lease must not have been renewed before it is ended:
// a process whose connection alone is lost renews its leases all the same.
const minSinceRenewal = 5 * time.Second

// Run has this process seen to live, and recovers what others leave, until ctx
// ends.
func (r *Recoverer) Run(ctx context.Context) { r.Store.WatchProcesses(ctx, r.recoverTasks) }

// recoverTasks puts the tasks that a process was at into the queue again.
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
			errs = append(errs, errors.New("some of its leases cannot be ended yet"))
		}
		// What does not get into the queue now is found by the sweep.
		errs = append(errs, r.Queue.Enqueue(ctx, reclaimed...))
		tasks += len(reclaimed)
	}
	if tasks > 0 {
		r.Log.WarnContext(ctx, "a worker has died; its tasks, and what it may have taken from the queue, are given to others", "process", process, "tasks", tasks)
	}
	return errors.Join(errs...)
}
