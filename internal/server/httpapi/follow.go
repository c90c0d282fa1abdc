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

// Progress knows of running jobs what the database does not know yet. It may know
// nothing, or be down: answers are then less fresh, and right all the same.
type Progress interface {
	// RefreshProgress puts fresher progress of running tasks into the job.
	RefreshProgress(ctx context.Context, job *document.Job)

	// Watch returns a channel that tells of changes of the job, or of the
	// reindex, until stop is called. It may be nil, or be closed, when changes
	// cannot be watched.
	Watch(ctx context.Context, id uuid.UUID) (changes <-chan struct{}, stop func())
}

// pollInterval is how often a follower reads the row that it follows, in case a
// change was not signalled.
const pollInterval = time.Second

// trackedResource is a kind of thing that moves to an end: a job, or a reindex.
type trackedResource[T any] struct {
	server  *server
	name    string // of its events and in the log
	load    func(ctx context.Context, id uuid.UUID) (T, error)
	state   func(item T) document.JobState
	present func(ctx context.Context, item T) T // as clients see it
}

func (f *trackedResource[T]) ended(item T) bool { return f.state(item).Ended() }

// withLogAttr has what is logged under ctx say which one it is about.
func (f *trackedResource[T]) withLogAttr(ctx context.Context, id uuid.UUID) context.Context {
	return telemetry.WithLogAttrs(ctx, slog.String(f.name, id.String()))
}

// get returns it as it is once it has ended, the wait is over or the server
// stops.
func (f *trackedResource[T]) get(ctx context.Context, id uuid.UUID, wait time.Duration) (T, error) {
	ctx = f.withLogAttr(ctx, id)
	item, err := f.load(ctx, id)
	if err == nil && wait > 0 && !f.ended(item) {
		item, err = f.awaitEnd(ctx, id, wait)
	}
	return f.presentResult(ctx, item, err)
}

// runAction does something to it and returns what it is then.
func (f *trackedResource[T]) runAction(ctx context.Context, id uuid.UUID, do func(context.Context, uuid.UUID) (T, error)) (T, error) {
	ctx = f.withLogAttr(ctx, id)
	item, err := do(ctx, id)
	return f.presentResult(ctx, item, err)
}

func (f *trackedResource[T]) presentResult(ctx context.Context, item T, err error) (T, error) {
	if err != nil {
		var none T
		return none, err
	}
	return f.present(ctx, item), nil
}

// follow yields its row, or why that could not be read, at once, whenever it
// may have changed, and at least every lookEvery. It ends with what is
// followed, and when over fires, the server stops or ctx ends.
func (f *trackedResource[T]) follow(ctx context.Context, id uuid.UUID, over <-chan time.Time) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		look := time.NewTicker(pollInterval)
		defer look.Stop()
		changes, stop := f.server.Progress.Watch(ctx, id)
		defer stop()
		for {
			// After the watch began, so that no change falls between.
			item, err := f.load(ctx, id)
			if !yield(item, err) || f.ended(item) {
				return
			}
			select {
			case _, ok := <-changes:
				if !ok {
					changes = nil
				}
			case <-look.C:
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

// awaitEnd returns it when it has ended, the wait is over or the server stops.
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

// maxWait bounds how long a request is held.
const maxWait = 5 * time.Minute

// WaitParams is what a request takes whose answer may be held. It is exported, as
// Paging is, for huma to find it.
type WaitParams struct {
	Wait string `query:"wait" example:"30s" doc:"Answer when it has ended, or after this long; at most 5m."`
}

// parseWait returns how long the answer may be held.
func (w WaitParams) parseWait() (time.Duration, error) {
	if w.Wait == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(w.Wait)
	if err != nil || d < 0 {
		return 0, fault.New(fault.BadRequest, "query.wait: %q is no duration; write 30s or 2m", w.Wait)
	}
	return min(d, maxWait), nil
}
