package sweep

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-7a112592/gristmill/internal/telemetry"
)

// redispatchLimit is the maximum number of tasks that one sweep dispatches again for a tenant. A
// tenant has more tasks in the queue only with hundreds of workers; the next sweep takes the rest.
const redispatchLimit = 5000

// redispatchAll is the quiet time with which all dispatched tasks are overdue. It is negative, and
// longer than any task waits, to include tasks that wait for their next attempt: the queue has lost
// their delayed delivery too. If a worker gets such a task too early, the task is delivered again when
// it is due.
const redispatchAll = -2 * time.Minute

// refillQueue puts into the queue what it should hold: first abandoned tasks and tasks that were
// dispatched longer than quiet ago and may be lost, then new tasks while there is room. If the
// queue has lost its data, all dispatched tasks count as lost.
func (s *Sweeper) refillQueue(ctx context.Context, tenants []string, quiet time.Duration) error {
	lost, err := s.Queue.DataLost(ctx)
	if err != nil {
		return err
	}
	if lost {
		quiet = redispatchAll
	}
	if len(tenants) > 0 {
		requeued, err := s.Queue.RequeueAbandoned(ctx)
		if err != nil { // the other tasks do not wait for this
			s.Log.InfoContext(ctx, "cannot find tasks that were taken from the queue and that no worker runs; the next sweep tries again", "error", err)
		} else if requeued > 0 {
			s.Log.InfoContext(ctx, "put tasks back into the queue that were taken from it and that no worker runs", "tasks", requeued)
		}
	}
	for _, id := range tenants {
		ctx := telemetry.WithTenant(ctx, id)
		if err := s.redispatch(ctx, quiet); err != nil {
			return fmt.Errorf("dispatch overdue tasks of tenant %s: %w", id, err)
		}
		s.Dispatcher.Dispatch(ctx)
		// Backlog also folds its counters. Doing so here bounds their number even if many tasks
		// end before the next upload reads the backlog.
		if _, err := s.Store.Backlog(ctx); err != nil {
			return err
		}
	}
	if lost {
		return s.Queue.MarkFilled(ctx)
	}
	return nil
}

// redispatch enqueues the tasks of ctx's tenant that may be lost. Tasks that cannot be enqueued now
// are overdue again after the next quiet time.
func (s *Sweeper) redispatch(ctx context.Context, quiet time.Duration) error {
	due, err := s.Store.RedispatchOverdue(ctx, quiet, redispatchLimit)
	if err != nil || len(due) == 0 {
		return err
	}
	if err := s.Queue.Enqueue(ctx, due...); err != nil {
		return err
	}
	s.Log.DebugContext(ctx, "dispatched tasks again that may have been lost", "tasks", len(due))
	return nil
}
