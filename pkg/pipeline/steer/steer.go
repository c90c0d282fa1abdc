// Package steer does to jobs what their owners ask for: it cancels them, and
// gives those that came to nothing another start.
package steer

import (
	"context"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Store changes jobs; see storetest.Steering for the contract.
type Store interface {
	CancelJob(ctx context.Context, id uuid.UUID) (document.Job, error)
	RetryJob(ctx context.Context, id uuid.UUID) (document.Job, error)
	AskSummary(ctx context.Context, id uuid.UUID, configured document.SummaryMode) (document.Job, error)
}

// Live is told that a job's state has changed.
type Live interface {
	Changed(ctx context.Context, job uuid.UUID)
}

// Dispatcher puts into the queue what there is room for. It does not fail.
type Dispatcher interface {
	Dispatch(ctx context.Context)
}

// Pace has models that are held tried now. It does not fail.
type Pace interface {
	HurryAll(ctx context.Context)
}

// Step steers.
type Step struct {
	Store      Store
	Live       Live
	Dispatcher Dispatcher
	Pace       Pace

	Summaries document.SummaryMode // of collections that have none of their own
}

// Cancel ends a job that has not ended. A worker that is at it finds out within
// two seconds, when it renews its lease, and stops; nothing that it writes until
// then is stored.
func (s *Step) Cancel(ctx context.Context, id uuid.UUID) (document.Job, error) {
	return s.steer(ctx, id, s.Store.CancelJob)
}

// Retry puts what failed or was cancelled of a job back on the path, and has
// what waits tried now, and the models with it. What was embedded and summarised
// before is there, and is not paid for again.
func (s *Step) Retry(ctx context.Context, id uuid.UUID) (document.Job, error) {
	return s.steer(ctx, id, func(ctx context.Context, id uuid.UUID) (document.Job, error) {
		job, err := s.Store.RetryJob(ctx, id)
		if err == nil {
			s.Pace.HurryAll(ctx)
		}
		return job, err
	})
}

// AskSummary has a document summarised that is not.
func (s *Step) AskSummary(ctx context.Context, id uuid.UUID) (document.Job, error) {
	return s.steer(ctx, id, func(ctx context.Context, id uuid.UUID) (document.Job, error) {
		return s.Store.AskSummary(ctx, id, s.Summaries)
	})
}

// steer changes the job and has everybody know: who watches it, and the
// dispatcher, which has tasks to put into the queue or room for others there.
func (s *Step) steer(ctx context.Context, id uuid.UUID, change func(context.Context, uuid.UUID) (document.Job, error)) (document.Job, error) {
	job, err := change(ctx, id)
	if err != nil {
		return document.Job{}, err
	}
	s.Live.Changed(ctx, job.ID)
	s.Dispatcher.Dispatch(ctx)
	return job, nil
}
