package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// lockedTask is a task under the lock of its document, with what else decides over
// it. Every transaction that changes the state of a task locks the document
// first: so the states of the others stay what they are, and there is no deadlock.
type lockedTask struct {
	task.Ref
	job              uuid.UUID
	state            document.JobState
	attempt          int
	crashes          int
	lease            *uuid.UUID
	claimableIn      time.Duration       // until it may be claimed; not above 0 when it may be now
	otherStates      []document.JobState // of the other tasks of the job
	newestVersion    int                 // version of the document
	publishedVersion *int
	docDeleted       bool
}

// lockTask locks the document of a task and returns the task, or
// fault.NotFound. The second statement begins when the lock is held, and sees
// what was committed until then. More statements may go with them.
func lockTask(ctx context.Context, tx pgx.Tx, ref task.Ref, more ...func(*pgx.Batch)) (lockedTask, error) {
	t := lockedTask{Ref: ref}
	var batch pgx.Batch
	batch.Queue(`SELECT FROM documents WHERE id = $1 FOR NO KEY UPDATE`, ref.DocumentID)
	batch.Queue(`
		SELECT t.job, t.state, t.attempt, t.crashes, t.lease,
		       coalesce(CASE t.state WHEN 'running' THEN t.lease_until WHEN 'waiting' THEN t.next_attempt_at END
		                - clock_timestamp(), '0'),
		       ARRAY(SELECT o.state FROM tasks o WHERE o.job = t.job AND o.kind <> t.kind),
		       d.newest_version, d.published_version, d.deleted_at IS NOT NULL
		FROM tasks t
		JOIN documents d ON d.id = t.document
		WHERE t.document = $1 AND t.version = $2 AND t.kind = $3`, ref.DocumentID, ref.Version, ref.Kind).
		QueryRow(func(row pgx.Row) error {
			return row.Scan(&t.job, &t.state, &t.attempt, &t.crashes, &t.lease, &t.claimableIn, &t.otherStates, &t.newestVersion, &t.publishedVersion, &t.docDeleted)
		})
	for _, queue := range more {
		queue(&batch)
	}
	err := tx.SendBatch(ctx, &batch).Close()
	if isNoRows(err) {
		return lockedTask{}, fault.New(fault.NotFound, "there is no such task")
	}
	return t, err
}

// lockLeasedTask is lockTask for a task that the caller holds the lease of, or else
// fault.LeaseLost.
func lockLeasedTask(ctx context.Context, tx pgx.Tx, work task.Work, more ...func(*pgx.Batch)) (lockedTask, error) {
	t, err := lockTask(ctx, tx, work.Ref, more...)
	if fault.Is(err, fault.NotFound) || err == nil && (t.lease == nil || *t.lease != work.Lease) {
		return lockedTask{}, errLeaseLost(work)
	}
	return t, err
}

// queueEnd gives the task its final state and progress, nil for what it has, and
// the job and the document the states that follow from it.
func (t lockedTask) queueEnd(batch *pgx.Batch, state document.JobState, reason string, progress any) {
	batch.Queue(`
		UPDATE tasks SET state = $3, error = $4, progress = coalesce($5, progress),
		                 next_attempt_at = NULL, lease = NULL, lease_until = NULL
		WHERE job = $1 AND kind = $2`, t.job, t.Kind, state, sanitizeText(reason), progress)
	if t.Kind == task.KindKnowledge && state != document.JobSucceeded && t.publishedVersion == nil && t.newestVersion == t.Version && !t.docDeleted {
		batch.Queue(`UPDATE documents SET state = 'failed', updated_at = now() WHERE id = $1`, t.DocumentID)
	}
	t.queueCombinedJobState(batch, state)
}

// queueCombinedJobState writes the state of the job that follows when the task's is
// to be state. With the first task that runs the job has started.
func (t lockedTask) queueCombinedJobState(batch *pgx.Batch, state document.JobState) {
	queueUpdateJobState(batch, t.job, task.CombineStates(append([]document.JobState{state}, t.otherStates...)...), state == document.JobRunning)
}

func queueUpdateJobState(batch *pgx.Batch, job uuid.UUID, state document.JobState, started bool) {
	batch.Queue(`
		UPDATE jobs SET
			state       = $2,
			started_at  = CASE WHEN $4 THEN coalesce(started_at, now()) ELSE started_at END,
			finished_at = CASE WHEN $3 THEN now() END
		WHERE id = $1`, job, state, state.Ended(), started)
	if state.Ended() {
		queueInsertDeliveries(batch, job)
	}
}

// queueFence checks that the caller still holds the task's lease, and has nobody
// take it over before the transaction ends. It also notes how far the task is.
func queueFence(batch *pgx.Batch, work task.Work, progress any) {
	batch.Queue(`
		UPDATE tasks SET progress = $3
		WHERE job = $1 AND kind = $2 AND lease = $4`, work.JobID, work.Kind, progress, work.Lease).Exec(mustHoldLease(work))
}

// mustHoldLease fails when a statement has changed nothing: the lease is lost.
func mustHoldLease(work task.Work) func(tag pgconn.CommandTag) error {
	return func(tag pgconn.CommandTag) error {
		if tag.RowsAffected() == 0 {
			return errLeaseLost(work)
		}
		return nil
	}
}

// queueCheckLease is queueFence without a lock: what it finds may change at once.
func queueCheckLease(batch *pgx.Batch, work task.Work) {
	batch.Queue(`
		SELECT EXISTS (SELECT FROM tasks WHERE job = $1 AND kind = $2 AND lease = $3)`,
		work.JobID, work.Kind, work.Lease).QueryRow(func(row pgx.Row) error {
		var ours bool
		err := row.Scan(&ours)
		if err == nil && !ours {
			return errLeaseLost(work)
		}
		return err
	})
}

func checkLease(ctx context.Context, tx pgx.Tx, work task.Work) error {
	var batch pgx.Batch
	queueCheckLease(&batch, work)
	return tx.SendBatch(ctx, &batch).Close()
}

const reasonDocumentDeleted = "document deleted"

func reasonSuperseded(version int) string { return fmt.Sprintf("superseded by version %d", version) }
