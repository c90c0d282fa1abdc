package httpapi

import (
	"context"
	"iter"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/telemetry"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Progress holds the progress of running jobs that is not in the database yet. It may be empty or
// down: responses are then less recent, but correct.
type Progress interface {
	// RefreshProgress sets the recent progress of running tasks in the job.
	RefreshProgress(ctx context.Context, job *document.Job)

	// Watch returns a channel that receives a value after changes of the job or reindex, until stop
	// is called. If changes cannot be watched, the channel is nil or closed. Callers must call stop.
	Watch(ctx context.Context, id uuid.UUID) (changes <-chan struct{}, stop func())
}

// pollInterval is the time between two reads of a followed job or reindex, because a notification may
// be missed.
const pollInterval = time.Second

// trackedResource is a kind of resource that has an end and can be followed: jobs, or reindexes.
type trackedResource[T any] struct {
	server  *server
	name    string // in events and in the log
	load    func(ctx context.Context, id uuid.UUID) (T, error)
	state   func(item T) document.JobState
	present func(ctx context.Context, item T) T // returns the item in the form for clients
}

func (f *trackedResource[T]) ended(item T) bool { return f.state(item).Ended() }

// withLogAttr adds the id to what is logged under ctx.
func (f *trackedResource[T]) withLogAttr(ctx context.Context, id uuid.UUID) context.Context {
	return telemetry.WithLogAttrs(ctx, slog.String(f.name, id.String()))
}

// get returns the item when it has ended, the wait is over or the server stops.
func (f *trackedResource[T]) get(ctx context.Context, id uuid.UUID, wait time.Duration) (T, error) {
	ctx = f.withLogAttr(ctx, id)
	item, err := f.load(ctx, id)
	if err == nil && wait > 0 && !f.ended(item) {
		item, err = f.awaitEnd(ctx, id, wait)
	}
	return f.presentResult(ctx, item, err)
}

// runAction calls action for the item and returns the changed item.
func (f *trackedResource[T]) runAction(ctx context.Context, id uuid.UUID, action func(context.Context, uuid.UUID) (T, error)) (T, error) {
	ctx = f.withLogAttr(ctx, id)
	item, err := action(ctx, id)
	return f.presentResult(ctx, item, err)
}

func (f *trackedResource[T]) presentResult(ctx context.Context, item T, err error) (T, error) {
	if err != nil {
		var none T
		return none, err
	}
	return f.present(ctx, item), nil
}

// follow yields the item, or the error of reading it: immediately, after each change, and at least
// every pollInterval. It stops when the item has ended, over receives a value, the server stops or ctx
// ends.
func (f *trackedResource[T]) follow(ctx context.Context, id uuid.UUID, over <-chan time.Time) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		poll := time.NewTicker(pollInterval)
		defer poll.Stop()
		changes, stop := f.server.Progress.Watch(ctx, id)
		defer stop()
		for {
			// The first read follows the beginning of the watch, so that no change is missed.
			item, err := f.load(ctx, id)
			if !yield(item, err) || f.ended(item) {
				return
			}
			select {
			case _, ok := <-changes:
				if !ok {
					changes = nil
				}
			case <-poll.C:
			case <-over:
				return
			case <-f.server.Stopping:
				return
			case <-ctx.Done():
				return
			}
		}
	}
}

// awaitEnd waits until the item has ended, the wait is over or the server stops, and returns the item.
func (f *trackedResource[T]) awaitEnd(ctx context.Context, id uuid.UUID, wait time.Duration) (item T, err error) {
	over := time.NewTimer(wait)
	defer over.Stop()
	for item, err = range f.follow(ctx, id, over.C) {
		if err != nil {
			return item, err
		}
	}
	return item, ctx.Err()
}

// maxWait is the maximum wait of a request.
const maxWait = 5 * time.Minute

// WaitParams has the parameter of requests that can wait. It is exported because huma finds
// parameters only in exported fields.
type WaitParams struct {
	Wait string `query:"wait" example:"30s" doc:"Wait for the end, but no longer than this; at most 5m."`
}

// parseWait returns how long the response may be delayed.
func (w WaitParams) parseWait() (time.Duration, error) {
	if w.Wait == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(w.Wait)
	if err != nil || d < 0 {
		return 0, fault.New(fault.BadRequest, "query.wait: %q is not a duration; want a value such as 30s or 2m", w.Wait)
	}
	return min(d, maxWait), nil
}
