package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/lifecycle"
	"github.com/seed-7a112592/gristmill/internal/task"
)

// taskColumns are the columns of a task or reindex, named by a prefix such as "t.",
// that taskFields scans.
func taskColumns(prefix string) string {
	return fmt.Sprintf(`%[1]sstate, %[1]sattempt, %[1]scrashes, %[1]sround, %[1]serror, %[1]slease, %[1]slease_until, %[1]snext_attempt_at, %[1]sdispatched_at`, prefix)
}

func taskFields(t *lifecycle.Task) []any {
	return []any{&t.State, &t.Attempt, &t.Crashes, &t.Round, &t.Error, &t.Lease, (*instant)(&t.LeaseUntil), (*instant)(&t.NextAttemptAt), (*instant)(&t.DispatchedAt)}
}

// taskValues are the values of a task's columns, in the order of taskColumns.
func taskValues(t lifecycle.Task) []any {
	return []any{t.State, t.Attempt, t.Crashes, t.Round, t.Error, orNull(t.Lease), instant(t.LeaseUntil), instant(t.NextAttemptAt), instant(t.DispatchedAt)}
}

// selectStates is followed by a condition; the tenant is ?1.
var selectStates = `
	SELECT j.id, j.version, j.state, j.started_at, j.finished_at, d.id, d.state, d.newest_version, coalesce(d.published_version, 0), d.deleted_at IS NOT NULL,
	       s.summary_requested, ` + taskColumns("k.") + `, ` + taskColumns("s.") + `
	FROM jobs j
	JOIN documents d ON d.tenant = j.tenant AND d.id = j.document
	JOIN tasks k ON k.tenant = j.tenant AND k.document = j.document AND k.version = j.version AND k.kind = 'knowledge'
	JOIN tasks s ON s.tenant = j.tenant AND s.document = j.document AND s.version = j.version AND s.kind = 'summary'
	WHERE j.tenant = ?1 AND `

// Conditions of selectStates.
const (
	jobOfID     = `j.id = ?2`
	jobOfTask   = `j.document = ?2 AND j.version = ?3`
	jobOfNewest = `d.id = ?2 AND j.version = d.newest_version`
	unendedJobs = `j.document = ?2 AND j.state IN ` + lifecycle.UnendedStates
)

// loadJob returns the job that a condition names, or missing.
func loadJob(ctx context.Context, tx transaction, missing error, condition string, args ...any) (lifecycle.Job, error) {
	job, err := scanState(tx.QueryRowContext(ctx, selectStates+condition, append([]any{tx.tenant}, args...)...))
	if errors.Is(err, sql.ErrNoRows) {
		err = missing
	}
	return job, err
}

// loadOwn returns the job of a task, which the work holds the lease of.
func loadOwn(ctx context.Context, tx transaction, work task.Work) (lifecycle.Job, error) {
	job, err := loadJob(ctx, tx, lifecycle.LeaseLost(work.Ref), jobOfTask, work.DocumentID, work.Version)
	if err == nil {
		err = job.CheckLease(work)
	}
	return job, err
}

func scanState(row scanner) (j lifecycle.Job, err error) {
	j.Knowledge.Kind, j.Summary.Kind = task.KindKnowledge, task.KindSummary
	d := &j.Document
	fields := []any{&j.ID, &j.Version, &j.State, (*instant)(&j.StartedAt), (*instant)(&j.FinishedAt), &d.ID, &d.State, &d.Newest, &d.Published, &d.Deleted, &j.Summary.SummaryRequested}
	return j, row.Scan(append(append(fields, taskFields(&j.Knowledge)...), taskFields(&j.Summary)...)...)
}

// saveJob writes what differs between two states of a job.
func saveJob(ctx context.Context, tx transaction, was, is lifecycle.Job) error {
	change := lifecycle.DiffJob(was, is)
	for _, t := range change.Tasks {
		if err := tx.exec(ctx, `
			UPDATE tasks SET (state, attempt, crashes, round, error, lease, lease_until, next_attempt_at, dispatched_at, summary_requested)
			= (?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
			WHERE tenant = ?1 AND document = ?2 AND version = ?3 AND kind = ?4`,
			append(append([]any{tx.tenant, is.Document.ID, is.Version, t.Kind}, taskValues(t.Task)...), t.SummaryRequested)...); err != nil {
			return err
		}
	}
	if change.Job {
		if err := tx.exec(ctx, `
			UPDATE jobs SET state = ?4, started_at = ?5, finished_at = ?6 WHERE tenant = ?1 AND document = ?2 AND version = ?3`,
			tx.tenant, is.Document.ID, is.Version, is.State, instant(is.StartedAt), instant(is.FinishedAt)); err != nil {
			return err
		}
	}
	if change.Document {
		if err := tx.exec(ctx, `
			UPDATE documents SET state = ?3, published_version = nullif(?4, 0), updated_at = ?5 WHERE tenant = ?1 AND id = ?2`,
			tx.tenant, is.Document.ID, is.Document.State, is.Document.Published, tx.now); err != nil {
			return err
		}
	}
	if err := insertGarbageVersion(ctx, tx, versionKey{is.Document.ID, change.ObsoleteVersion}); err != nil {
		return err
	}
	if !change.Ended {
		return nil
	}
	return addDeliveries(ctx, tx, is.Document.ID, is.Version)
}

// exec runs a statement.
func (tx transaction) exec(ctx context.Context, statement string, args ...any) error {
	_, err := tx.ExecContext(ctx, statement, args...)
	return err
}

// orNull is NULL for the zero id.
func orNull(id uuid.UUID) uuid.NullUUID { return uuid.NullUUID{UUID: id, Valid: id != uuid.Nil} }

// instant is a time as a row holds it: microseconds since 1970 UTC, NULL for none.
type instant time.Time

// Scan implements sql.Scanner.
func (i *instant) Scan(column any) error {
	switch c := column.(type) {
	case nil:
		*i = instant{}
	case int64:
		*i = instant(time.UnixMicro(c).UTC())
	default:
		return fmt.Errorf("time: want an integer, got %T", column)
	}
	return nil
}

// Value implements driver.Valuer.
func (i instant) Value() (driver.Value, error) {
	if time.Time(i).IsZero() {
		return nil, nil
	}
	return time.Time(i).UnixMicro(), nil
}
