package sweep

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-7a112592/gristmill/internal/telemetry"
)

// redispatchLimit is more than a tenant has in the queue at a time, but for hundreds
// of workers: then the next sweep takes the rest.
const redispatchLimit = 5000

// redispatchAll is the quiet time by which all that was dispatched is due: also
// what waits for its next attempt, for no longer than a task ever does, since
// the queue was to deliver it then. A worker that it is delivered to before has
// it delivered again when it is time.
const redispatchAll = -2 * time.Minute

// refillQueue puts into the queue what belongs there: first what it has handed over to
// nobody, and what was dispatched longer than quiet ago, since it may be lost,
// then what there is room for. When the queue has lost its data, all that was
// dispatched is lost.
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
		if err != nil { // the rest does not wait for it
			s.Log.InfoContext(ctx, "not known what was taken from the queue and no worker works at; the next sweep looks again", "error", err)
		} else if requeued > 0 {
			s.Log.InfoContext(ctx, "put back into the queue what was taken from it and no worker works at", "tasks", requeued)
		}
	}
	for _, id := range tenants {
		ctx := telemetry.WithTenant(ctx, id)
		if err := s.redispatch(ctx, quiet); err != nil {
			return fmt.Errorf("dispatch what is due of tenant %s: %w", id, err)
		}
		s.Dispatcher.Dispatch(ctx)
		// Reading the backlog folds what was counted since, however much ends
		// before the next upload asks for it.
		if _, err := s.Store.Backlog(ctx); err != nil {
			return err
		}
	}
	if lost {
		return s.Queue.MarkFilled(ctx)
	}
	return nil
}

// redispatch enqueues what may be lost. Those that cannot be enqueued now are
// due again after the next quiet time.
func (s *Sweeper) redispatch(ctx context.Context, quiet time.Duration) error {
	due, err := s.Store.RedispatchOverdue(ctx, quiet, redispatchLimit)
	if err != nil || len(due) == 0 {
		return err
	}
	if err := s.Queue.Enqueue(ctx, due...); err != nil {
		return err
	}
	s.Log.DebugContext(ctx, "dispatched again what may have been lost", "tasks", len(due))
	return nil
}
