package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

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
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		was, err := lockJob(ctx, tx, lifecycle.JobNotFound(id), jobOfID, []any{id})
		if err != nil {
			return err
		}
		updated, err = s.saveJob(ctx, tx, was, func(j lockedJob) (lifecycle.Job, error) { return event(j.Job, j.now) })
		return err
	})
	return updated, err
}
