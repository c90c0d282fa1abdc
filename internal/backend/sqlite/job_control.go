package sqlite

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/lifecycle"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// CancelJob ends the job's unended tasks as cancelled.
func (s *Store) CancelJob(ctx context.Context, id uuid.UUID) (_ document.Job, err error) {
	defer wrapError(&err, "cancel job %s", id)
	return s.updateJob(ctx, id, lifecycle.Job.Cancel)
}

// RetryJob restarts the failed and cancelled tasks of an ended job, and queues the waiting tasks of a
// job that has not ended.
func (s *Store) RetryJob(ctx context.Context, id uuid.UUID) (_ document.Job, err error) {
	defer wrapError(&err, "retry job %s", id)
	return s.updateJob(ctx, id, lifecycle.Job.Retry)
}

// updateJob saves the next state of a job, and returns the job in that state.
func (s *Store) updateJob(ctx context.Context, id uuid.UUID, event func(lifecycle.Job, time.Time) (lifecycle.Job, error)) (updated document.Job, err error) {
	err = s.inWriteTransaction(ctx, func(tx transaction) error {
		was, err := loadJob(ctx, tx, lifecycle.JobNotFound(id), jobOfID, id)
		if err != nil {
			return err
		}
		is, err := event(was, tx.now.time())
		if err != nil {
			return err
		}
		if err := saveJob(ctx, tx, was, is); err != nil {
			return err
		}
		updated, err = readJob(ctx, tx, id)
		return err
	})
	return updated, err
}
