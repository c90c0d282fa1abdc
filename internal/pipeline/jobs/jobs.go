// Package jobs cancels and retries jobs, and requests summaries, for clients.
package jobs

import (
	"context"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/required"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Store changes jobs; see storetest.JobControl and Summaries for the contract.
type Store interface {
	CancelJob(ctx context.Context, id uuid.UUID) (document.Job, error)
	RetryJob(ctx context.Context, id uuid.UUID) (document.Job, error)
	RequestSummary(ctx context.Context, id uuid.UUID, configured document.SummaryMode) (document.Job, error)
}

// ChangeNotifier is notified that the state of a job has changed.
type ChangeNotifier interface {
	NotifyChange(ctx context.Context, job uuid.UUID)
}

// Dispatcher puts tasks into the queue while there is room. It does not fail.
type Dispatcher interface {
	Dispatch(ctx context.Context)
}

// HeldModels lets held models be tried again immediately. It does not fail.
type HeldModels interface {
	RetryHeldModels(ctx context.Context)
}

// Config is what a service needs.
type Config struct {
	Store      Store
	Changes    ChangeNotifier
	Dispatcher Dispatcher
	Models     HeldModels

	DefaultSummaryMode document.SummaryMode // of collections without a mode of their own
}

// Service changes jobs on request.
type Service struct{ Config }

// NewService returns a service, or an error that names what config lacks.
func NewService(config Config) (*Service, error) {
	if err := required.Fields(config); err != nil {
		return nil, err
	}
	return &Service{config}, nil
}

// Cancel ends a job that has not ended. A worker that runs one of its tasks notices within two
// seconds, when it renews its lease, and stops. The store refuses what the worker writes until
// then.
func (s *Service) Cancel(ctx context.Context, id uuid.UUID) (document.Job, error) {
	return s.changeJob(ctx, id, s.Store.CancelJob)
}

// Retry queues the failed and cancelled tasks of a job again. It also makes waiting tasks due
// immediately, and lets held models be tried again. What earlier attempts embedded and
// summarised is stored and not paid for again.
func (s *Service) Retry(ctx context.Context, id uuid.UUID) (document.Job, error) {
	return s.changeJob(ctx, id, func(ctx context.Context, id uuid.UUID) (document.Job, error) {
		job, err := s.Store.RetryJob(ctx, id)
		if err == nil {
			s.Models.RetryHeldModels(ctx)
		}
		return job, err
	})
}

// RequestSummary queues the summary task of a document that has no summary.
func (s *Service) RequestSummary(ctx context.Context, id uuid.UUID) (document.Job, error) {
	return s.changeJob(ctx, id, func(ctx context.Context, id uuid.UUID) (document.Job, error) {
		return s.Store.RequestSummary(ctx, id, s.DefaultSummaryMode)
	})
}

// changeJob changes the job, then notifies those who watch it, and the dispatcher: the change
// may have added tasks or made room in the queue.
func (s *Service) changeJob(ctx context.Context, id uuid.UUID, change func(context.Context, uuid.UUID) (document.Job, error)) (document.Job, error) {
	job, err := change(ctx, id)
	if err != nil {
		return document.Job{}, err
	}
	s.Changes.NotifyChange(ctx, job.ID)
	s.Dispatcher.Dispatch(ctx)
	return job, nil
}
