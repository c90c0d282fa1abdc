package sqlite

import (
	"context"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

const reasonCancelledOnRequest = "cancelled on request"

// CancelJob ends the job's unended tasks as cancelled.
func (s *Store) CancelJob(ctx context.Context, id uuid.UUID) (cancelled document.Job, err error) {
	defer wrapError(&err, "cancel job %s", id)
	err = s.inWriteTransaction(ctx, func(tx transaction) error {
		job, err := readJob(ctx, tx, id)
		switch {
		case err != nil:
			return err
		case job.State == document.JobSucceeded, job.State == document.JobFailed:
			return fault.New(fault.Conflict, "job %s has %s: there is nothing left to cancel", id, job.State)
		}
		if err := cancelTasks(ctx, tx, job.DocumentID, id, reasonCancelledOnRequest); err != nil {
			return err
		}
		cancelled, err = readJob(ctx, tx, id)
		return err
	})
	return cancelled, err
}

// RetryJob gives the failed and cancelled tasks of an ended job a fresh start,
// and has those that wait tried now.
func (s *Store) RetryJob(ctx context.Context, id uuid.UUID) (retried document.Job, err error) {
	defer wrapError(&err, "retry job %s", id)
	err = s.inWriteTransaction(ctx, func(tx transaction) error {
		job, err := readJob(ctx, tx, id)
		if err != nil {
			return err
		}
		var newest int
		var deleted bool
		if err := tx.QueryRowContext(ctx, `
			SELECT newest_version, deleted_at IS NOT NULL FROM documents
			WHERE tenant = ?1 AND id = ?2`, tx.tenant, job.DocumentID).Scan(&newest, &deleted); err != nil {
			return err
		}
		switch {
		case deleted:
			return fault.New(fault.NotFound, "the document of job %s is deleted", id)
		case job.State == document.JobSucceeded:
			return fault.New(fault.Conflict, "job %s has succeeded: there is nothing to retry", id)
		case newest != job.Version:
			return fault.New(fault.Conflict, "job %s made version %d of document %s, which has version %d by now: retry the job of that one", id, job.Version, job.DocumentID, newest)
		case job.State.Ended():
			if err := restartTasks(ctx, tx, job); err != nil {
				return err
			}
		default:
			if err := retryWaitingTasks(ctx, tx, job); err != nil {
				return err
			}
		}
		retried, err = readJob(ctx, tx, id)
		return err
	})
	return retried, err
}

// restartTasks queues what has not succeeded of a job, also what is running, whose
// worker loses its lease. A new round: an entry of the one before may still be
// in the queue.
func restartTasks(ctx context.Context, tx transaction, job document.Job) error {
	if _, err := tx.ExecContext(ctx, `
		UPDATE tasks SET state = 'queued', attempt = 0, crashes = 0, round = round + 1, error = '', dispatched_at = NULL,
		                 lease = NULL, lease_until = NULL, next_attempt_at = NULL
		WHERE tenant = ?1 AND document = ?2 AND version = ?3 AND state NOT IN ('queued', 'succeeded')`,
		tx.tenant, job.DocumentID, job.Version); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `
		UPDATE documents SET state = 'pending', updated_at = ?3
		WHERE tenant = ?1 AND id = ?2 AND state = 'failed' AND published_version IS NULL`,
		tx.tenant, job.DocumentID, tx.now); err != nil {
		return err
	}
	return updateJobState(ctx, tx, job.DocumentID, job.Version)
}

// retryWaitingTasks queues what waits of a job, in a new round as restart does. What was
// tried of it still counts.
func retryWaitingTasks(ctx context.Context, tx transaction, job document.Job) error {
	if _, err := tx.ExecContext(ctx, `
		UPDATE tasks SET state = 'queued', round = round + 1, error = '', next_attempt_at = NULL, dispatched_at = NULL
		WHERE tenant = ?1 AND document = ?2 AND version = ?3 AND state = 'waiting'`,
		tx.tenant, job.DocumentID, job.Version); err != nil {
		return err
	}
	return updateJobState(ctx, tx, job.DocumentID, job.Version)
}
