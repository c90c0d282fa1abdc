package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype/zeronull"

	"github.com/seed-7a112592/gristmill/internal/lifecycle"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// taskColumns are the columns of a task or reindex, named by a prefix such as "t.",
// that taskFields scans.
func taskColumns(prefix string) string {
	return fmt.Sprintf(`%[1]sstate, %[1]sattempt, %[1]scrashes, %[1]sround, %[1]serror, %[1]slease, %[1]slease_until, %[1]snext_attempt_at, %[1]sdispatched_at`, prefix)
}

func taskFields(t *lifecycle.Task) []any {
	return []any{&t.State, &t.Attempt, &t.Crashes, &t.Round, &t.Error, (*zeronull.UUID)(&t.Lease),
		(*zeronull.Timestamptz)(&t.LeaseUntil), (*zeronull.Timestamptz)(&t.NextAttemptAt), (*zeronull.Timestamptz)(&t.DispatchedAt)}
}

// lockedJob is a job under the lock of its document, and the time of the server when that was
// held. Every transaction that changes the state of a task locks the document first:
// so the states of the others stay what they are, and there is no deadlock.
type lockedJob struct {
	lifecycle.Job
	now time.Time
}

var selectStates = `
	SELECT clock_timestamp(), j.id, j.version, j.state, j.started_at, j.finished_at, d.id, d.state, d.newest_version, coalesce(d.published_version, 0), d.deleted_at IS NOT NULL,
	       s.summary_requested, ` + taskColumns("k.") + `, ` + taskColumns("s.") + `
	FROM jobs j
	JOIN documents d ON d.id = j.document
	JOIN LATERAL (SELECT * FROM tasks t WHERE t.job = j.id AND t.kind = 'knowledge' OFFSET 0) k ON true
	JOIN LATERAL (SELECT * FROM tasks t WHERE t.job = j.id AND t.kind = 'summary' OFFSET 0) s ON true
	WHERE `

// Conditions of selectStates, and which document it is about.
type which struct{ document, job string }

var (
	jobOfID     = which{`id = (SELECT document FROM jobs WHERE id = $1)`, `j.id = $1`}
	jobOfTask   = which{`id = $1`, `j.document = $1 AND j.version = $2`}
	jobOfNewest = which{`id = $1`, `j.document = $1 AND j.version = d.newest_version`}
)

// lockJob locks a job and returns it, or missing. The second statement begins when
// the document is locked, and sees what was committed until then. More statements may
// go with them.
func lockJob(ctx context.Context, tx pgx.Tx, missing error, of which, args []any, more ...func(*pgx.Batch)) (j lockedJob, err error) {
	var batch pgx.Batch
	batch.Queue(`SELECT FROM documents WHERE `+of.document+` FOR NO KEY UPDATE`, args[0])
	batch.Queue(selectStates+of.job+``, args...).QueryRow(func(row pgx.Row) (err error) {
		j, err = scanState(row)
		return err
	})
	for _, queue := range more {
		queue(&batch)
	}
	err = tx.SendBatch(ctx, &batch).Close()
	if isNoRows(err) {
		err = missing
	}
	return j, err
}

// lockLeasedTask is lockJob for a task that the caller holds the lease of.
func lockLeasedTask(ctx context.Context, tx pgx.Tx, work task.Work, more ...func(*pgx.Batch)) (lockedJob, error) {
	j, err := lockJob(ctx, tx, errLeaseLost(work), jobOfTask, []any{work.DocumentID, work.Version}, more...)
	if err == nil {
		err = j.CheckLease(work)
	}
	return j, err
}

func scanState(row pgx.Row) (j lockedJob, err error) {
	j.Knowledge.Kind, j.Summary.Kind = task.KindKnowledge, task.KindSummary
	d := &j.Document
	fields := []any{&j.now, &j.ID, &j.Version, &j.State, (*zeronull.Timestamptz)(&j.StartedAt), (*zeronull.Timestamptz)(&j.FinishedAt),
		&d.ID, &d.State, &d.Newest, &d.Published, &d.Deleted, &j.Job.Summary.SummaryRequested}
	return j, row.Scan(append(append(fields, taskFields(&j.Knowledge)...), taskFields(&j.Summary)...)...)
}

// queueSave writes what differs between two states of a job, and the progress of the
// task that does, if it is not nil.
func queueSave(batch *pgx.Batch, was, is lifecycle.Job, process int64, progress any) {
	change := lifecycle.DiffJob(was, is)
	for _, t := range change.Tasks {
		batch.Queue(`
			UPDATE tasks SET state = $3, attempt = $4, crashes = $5, round = round + $6, error = $7, lease = $8, lease_until = $9, next_attempt_at = $10,
			                 dispatched_at = CASE WHEN $11 THEN $12 ELSE dispatched_at END, summary_requested = $13, progress = coalesce($14, progress),
			                 process = CASE WHEN $8::uuid IS NULL THEN process ELSE $15 END
			WHERE job = $1 AND kind = $2`, is.ID, t.Kind, t.State, t.Attempt, t.Crashes, t.Rounds, t.Error, zeronull.UUID(t.Lease),
			zeronull.Timestamptz(t.LeaseUntil), zeronull.Timestamptz(t.NextAttemptAt), t.Dispatched, zeronull.Timestamptz(t.DispatchedAt), t.SummaryRequested, progress, process)
	}
	if change.Job {
		batch.Queue(`UPDATE jobs SET state = $2, started_at = $3, finished_at = $4 WHERE id = $1`,
			is.ID, is.State, zeronull.Timestamptz(is.StartedAt), zeronull.Timestamptz(is.FinishedAt))
	}
	if change.Document {
		batch.Queue(`UPDATE documents SET state = $2, published_version = nullif($3, 0), updated_at = now() WHERE id = $1`,
			is.Document.ID, is.Document.State, is.Document.Published)
	}
	if change.ObsoleteVersion > 0 {
		queueInsertGarbageVersion(batch, is.Document.ID, change.ObsoleteVersion)
	}
	if change.Ended {
		queueInsertDeliveries(batch, is.ID)
	}
}

// saveJob saves what event makes of a locked job, and returns the job in that state.
func (s *Store) saveJob(ctx context.Context, tx pgx.Tx, was lockedJob, event func(lockedJob) (lifecycle.Job, error)) (document.Job, error) {
	is, err := event(was)
	if err != nil {
		return document.Job{}, err
	}
	var batch pgx.Batch
	queueSave(&batch, was.Job, is, s.processID, nil)
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return document.Job{}, err
	}
	return readJob(ctx, tx, is.ID)
}
