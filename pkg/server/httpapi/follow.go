package httpapi

import (
	"context"
	"iter"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Live knows of running jobs what the database does not know yet. It may know
// nothing, or be down: answers are then less fresh, and right all the same.
type Live interface {
	// Overlay puts fresher progress of running tasks into the job.
	Overlay(ctx context.Context, job *document.Job)

	// Watch returns a channel that tells of changes of the job until stop is
	// called. It may be nil, or be closed, when changes cannot be watched.
	Watch(ctx context.Context, job uuid.UUID) (changes <-chan struct{}, stop func())
}

// lookEvery is how often whoever follows a job looks at its row, in case
// nobody told of a change.
const lookEvery = time.Second

// follow yields the job's row, or why it could not be read, at once, whenever
// it may have changed, and at least every lookEvery. It ends with the job, and
// when over fires, the server stops or ctx ends.
func (s *server) follow(ctx context.Context, id uuid.UUID, over <-chan time.Time) iter.Seq2[document.Job, error] {
	return func(yield func(document.Job, error) bool) {
		look := time.NewTicker(lookEvery)
		defer look.Stop()
		changes, stop := s.Live.Watch(ctx, id)
		defer stop()
		for {
			// After the watch began, so that no change falls between.
			job, err := s.Jobs.Job(ctx, id)
			if !yield(job, err) || job.State.Ended() {
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
			case <-s.Stopping:
				return
			case <-ctx.Done():
				return
			}
		}
	}
}

// awaitEnd returns the job when it has ended, the wait is over or the server
// stops.
func (s *server) awaitEnd(ctx context.Context, id uuid.UUID, wait time.Duration) (job document.Job, err error) {
	over := time.NewTimer(wait)
	defer over.Stop()
	for job, err = range s.follow(ctx, id, over.C) {
		if err != nil {
			return document.Job{}, err
		}
	}
	return job, ctx.Err()
}
