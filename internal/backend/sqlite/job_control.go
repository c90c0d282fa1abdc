package sqlite

import (
	"context"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/lifecycle"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// CancelJob ends the job's unended tasks as cancelled.
func (s *Store) CancelJob(ctx context.Context, id uuid.UUID) (cancelled document.Job, err error) {
	defer wrapError(&err, "cancel job %s", id)
	err = s.inWriteTransaction(ctx, func(tx transaction) error {
		cancelled, err = changeJob(ctx, tx, id, func(j lifecycle.Job) (lifecycle.Job, error) { return j.Cancel(tx.now.time()) })
		return err
	})
	return cancelled, err
}

// RetryJob gives the failed and cancelled tasks of an ended job a fresh start,
// and has those that wait tried now.
func (s *Store) RetryJob(ctx context.Context, id uuid.UUID) (retried document.Job, err error) {
	defer wrapError(&err, "retry job %s", id)
	err = s.inWriteTransaction(ctx, func(tx transaction) error {
		retried, err = changeJob(ctx, tx, id, func(j lifecycle.Job) (lifecycle.Job, error) { return j.Retry(tx.now.time()) })
		return err
	})
	return retried, err
}

// changeJob saves what becomes of a job, and returns it as it is then.
func changeJob(ctx context.Context, tx transaction, id uuid.UUID, event func(lifecycle.Job) (lifecycle.Job, error)) (document.Job, error) {
	was, err := loadJob(ctx, tx, lifecycle.JobNotFound(id), jobOfID, id)
	if err != nil {
		return document.Job{}, err
	}
	is, err := event(was)
	if err != nil {
		return document.Job{}, err
	}
	if err := saveJob(ctx, tx, was, is); err != nil {
		return document.Job{}, err
	}
	return readJob(ctx, tx, id)
}
