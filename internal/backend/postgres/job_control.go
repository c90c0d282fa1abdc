package postgres

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

const reasonCancelledOnRequest = "cancelled on request"

// CancelJob ends the job's unended tasks as cancelled.
func (s *Store) CancelJob(ctx context.Context, id uuid.UUID) (cancelled document.Job, err error) {
	defer wrapError(&err, "cancel job %s", id)
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		job, err := lockJob(ctx, tx, id)
		switch {
		case err != nil:
			return err
		case job.state == document.JobSucceeded, job.state == document.JobFailed:
			return fault.New(fault.Conflict, "job %s has %s: there is nothing left to cancel", id, job.state)
		case job.state != document.JobCancelled:
			if err := cancelTasks(ctx, tx, job.document, id, reasonCancelledOnRequest); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, `
				UPDATE documents SET state = 'failed', updated_at = now()
				WHERE id = $1 AND newest_version = $2 AND published_version IS NULL AND deleted_at IS NULL`,
				job.document, job.version); err != nil {
				return err
			}
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
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		job, err := lockJob(ctx, tx, id)
		switch {
		case err != nil:
			return err
		case job.docDeleted:
			return fault.New(fault.NotFound, "the document of job %s is deleted", id)
		case job.state == document.JobSucceeded:
			return fault.New(fault.Conflict, "job %s has succeeded: there is nothing to retry", id)
		case job.newestVersion != job.version:
			return fault.New(fault.Conflict, "job %s made version %d of document %s, which has version %d by now: retry the job of that one", id, job.version, job.document, job.newestVersion)
		case job.state.Ended():
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
func restartTasks(ctx context.Context, tx pgx.Tx, job lockedJob) error {
	var batch pgx.Batch
	batch.Queue(`
		UPDATE tasks SET state = 'queued', attempt = 0, crashes = 0, round = round + 1, error = '', dispatched_at = NULL,
		                 lease = NULL, lease_until = NULL, next_attempt_at = NULL
		WHERE job = $1 AND state NOT IN ('queued', 'succeeded')`, job.id)
	batch.Queue(`
		UPDATE documents SET state = 'pending', updated_at = now()
		WHERE id = $1 AND state = 'failed' AND published_version IS NULL`, job.document)
	return sendAndUpdateJobState(ctx, tx, job, &batch)
}

// retryWaitingTasks queues what waits of a job, in a new round as restart does. What was
// tried of it still counts.
func retryWaitingTasks(ctx context.Context, tx pgx.Tx, job lockedJob) error {
	var batch pgx.Batch
	batch.Queue(`
		UPDATE tasks SET state = 'queued', round = round + 1, error = '', next_attempt_at = NULL, dispatched_at = NULL
		WHERE job = $1 AND state = 'waiting'`, job.id)
	return sendAndUpdateJobState(ctx, tx, job, &batch)
}

// sendAndUpdateJobState sends what changes tasks of a job, and has its state follow.
func sendAndUpdateJobState(ctx context.Context, tx pgx.Tx, job lockedJob, batch *pgx.Batch) error {
	var states []document.JobState
	batch.Queue(`SELECT array_agg(state) FROM tasks WHERE job = $1`, job.id).QueryRow(func(row pgx.Row) error {
		return row.Scan(&states)
	})
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return err
	}
	var end pgx.Batch
	queueUpdateJobState(&end, job.id, task.CombineStates(states...), false)
	return tx.SendBatch(ctx, &end).Close()
}

// lockedJob is a job under the lock of its document, with what decides over it.
type lockedJob struct {
	id            uuid.UUID
	document      uuid.UUID
	version       int
	state         document.JobState
	newestVersion int // version of the document
	docDeleted    bool
}

// lockJob locks the document of a job (see task) and returns the job, or
// fault.NotFound.
func lockJob(ctx context.Context, tx pgx.Tx, id uuid.UUID) (lockedJob, error) {
	j := lockedJob{id: id}
	var batch pgx.Batch
	batch.Queue(`SELECT FROM documents WHERE id = (SELECT document FROM jobs WHERE id = $1) FOR NO KEY UPDATE`, id)
	batch.Queue(`
		SELECT j.document, j.version, j.state, d.newest_version, d.deleted_at IS NOT NULL
		FROM jobs j
		JOIN documents d ON d.id = j.document
		WHERE j.id = $1`, id).QueryRow(func(row pgx.Row) error {
		return row.Scan(&j.document, &j.version, &j.state, &j.newestVersion, &j.docDeleted)
	})
	err := tx.SendBatch(ctx, &batch).Close()
	if isNoRows(err) {
		err = errNoJob(id)
	}
	return j, err
}
