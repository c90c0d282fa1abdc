// Package steer does to jobs what their owners ask for: it cancels them, and
// gives those that came to nothing another start.
package jobs

import (
	"context"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Store changes jobs; see storetest.Steering for the contract.
type Store interface {
	CancelJob(ctx context.Context, id uuid.UUID) (document.Job, error)
	RetryJob(ctx context.Context, id uuid.UUID) (document.Job, error)
	RequestSummary(ctx context.Context, id uuid.UUID, configured document.SummaryMode) (document.Job, error)
}

// ChangeNotifier is told that a job's state has changed.
type ChangeNotifier interface {
	NotifyChange(ctx context.Context, job uuid.UUID)
}

// Dispatcher puts into the queue what there is room for. It does not fail.
type Dispatcher interface {
	Dispatch(ctx context.Context)
}

// HeldModels has models that are held tried now. It does not fail.
type HeldModels interface {
	RetryHeldModels(ctx context.Context)
}

// Service steers.
type Service struct {
	Store      Store
	Changes    ChangeNotifier
	Dispatcher Dispatcher
	Models     HeldModels

	DefaultSummaryMode document.SummaryMode // of collections that have none of their own
}

// Cancel ends a job that has not ended. A worker that is at it finds out within
// two seconds, when it renews its lease, and stops; nothing that it writes until
// then is stored.
func (s *Service) Cancel(ctx context.Context, id uuid.UUID) (document.Job, error) {
	return s.changeJob(ctx, id, s.Store.CancelJob)
}

// Retry puts what failed or was cancelled of a job back on the path, and has
// what waits tried now, and the models with it. What was embedded and summarised
// before is there, and is not paid for again.
func (s *Service) Retry(ctx context.Context, id uuid.UUID) (document.Job, error) {
	return s.changeJob(ctx, id, func(ctx context.Context, id uuid.UUID) (document.Job, error) {
		job, err := s.Store.RetryJob(ctx, id)
		if err == nil {
			s.Models.RetryHeldModels(ctx)
		}
		return job, err
	})
}

// RequestSummary has a document summarised that is not.
func (s *Service) RequestSummary(ctx context.Context, id uuid.UUID) (document.Job, error) {
	return s.changeJob(ctx, id, func(ctx context.Context, id uuid.UUID) (document.Job, error) {
		return s.Store.RequestSummary(ctx, id, s.DefaultSummaryMode)
	})
}

// changeJob changes the job and has everybody know: who watches it, and the
// dispatcher, which has tasks to put into the queue or room for others there.
func (s *Service) changeJob(ctx context.Context, id uuid.UUID, change func(context.Context, uuid.UUID) (document.Job, error)) (document.Job, error) {
	job, err := change(ctx, id)
	if err != nil {
		return document.Job{}, err
	}
	s.Changes.NotifyChange(ctx, job.ID)
	s.Dispatcher.Dispatch(ctx)
	return job, nil
}
