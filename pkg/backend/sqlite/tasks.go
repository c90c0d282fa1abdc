package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
)

// Claim gives the task to the caller under a new lease.
func (s *Store) Claim(ctx context.Context, ref document.TaskRef, ttl time.Duration) (work document.Work, err error) {
	defer describe(&err, "claim %s", ref)
	var refused error // after what was written on the way to it
	err = s.write(ctx, func(tx transaction) error {
		task, err := loadTask(ctx, tx, ref)
		if err != nil {
			return err
		}
		if task.state.Ended() {
			return fault.New(fault.NotFound, "the task has ended: %s", task.state)
		}
		if reason := task.pointless(); reason != "" {
			refused = fault.New(fault.NotFound, "the task was cancelled: %s", reason)
			return endTask(ctx, tx, ref, document.Cancelled, reason)
		}
		switch wait := tx.now.until(task.due()); {
		case wait > 0 && task.state == document.Running:
			return fault.New(fault.Conflict, "another worker is at the task")
		case wait > 0:
			return fault.New(fault.Unavailable, "the task is to be tried again later").After(wait)
		}
		work, err = lease(ctx, tx, task, ttl)
		return err
	})
	if err == nil {
		err = refused
	}
	if err != nil {
		return document.Work{}, err
	}
	return work, nil
}

// task is what decides over a claim: the task, and what its work would be.
type task struct {
	work          document.Work
	state         document.JobState
	leaseUntil    *micros
	nextAttemptAt *micros
	newest        int
	deleted       bool
}

func loadTask(ctx context.Context, tx transaction, ref document.TaskRef) (task, error) {
	t := task{work: document.Work{TaskRef: ref}}
	t.work.Tenant = tx.tenant
	space := &t.work.Space
	err := tx.QueryRowContext(ctx, `
		SELECT t.state, t.attempt, t.crashes, t.lease_until, t.next_attempt_at, d.newest_version, d.deleted_at IS NOT NULL,
		       j.id, c.name, d.key, v.title, v.object, v.size,
		       s.id, s.collection, s.model, s.dimensions, s.chunk_tokens, s.chunk_overlap
		FROM tasks t
		JOIN jobs j        ON j.tenant = t.tenant AND j.document = t.document AND j.version = t.version
		JOIN versions v    ON v.tenant = t.tenant AND v.document = t.document AND v.version = t.version
		JOIN documents d   ON d.tenant = t.tenant AND d.id = t.document
		JOIN collections c ON c.tenant = t.tenant AND c.id = d.collection
		JOIN spaces s      ON s.tenant = t.tenant AND s.id = v.space
		WHERE t.tenant = ?1 AND t.document = ?2 AND t.version = ?3 AND t.kind = ?4`,
		tx.tenant, ref.Document, ref.Version, ref.Kind).
		Scan(&t.state, &t.work.Attempt, &t.work.Crashes, &t.leaseUntil, &t.nextAttemptAt, &t.newest, &t.deleted,
			&t.work.Job, &t.work.Collection, &t.work.Key, &t.work.Title, &t.work.Object, &t.work.Size,
			&space.ID, &space.Collection, &space.Model.Name, &space.Model.Dimensions,
			&space.Chunking.Tokens, &space.Chunking.Overlap)
	if errors.Is(err, sql.ErrNoRows) {
		return t, fault.New(fault.NotFound, "there is no such task")
	}
	return t, err
}

// pointless says why nobody wants the task any more, if so.
func (t task) pointless() string {
	switch {
	case t.deleted:
		return documentDeleted
	case t.state == document.Queued && t.newest > t.work.Version:
		return supersededBy(t.newest)
	default:
		return ""
	}
}

const documentDeleted = "document deleted"

func supersededBy(version int) string { return fmt.Sprintf("superseded by version %d", version) }

// due returns when the task may be claimed, in the past if it may be now.
func (t task) due() micros {
	switch {
	case t.state == document.Running && t.leaseUntil != nil:
		return *t.leaseUntil
	case t.state == document.Waiting && t.nextAttemptAt != nil:
		return *t.nextAttemptAt
	default:
		return 0
	}
}

// lease begins the task's next attempt. A task that is running was let go of by
// a worker that crashed.
func lease(ctx context.Context, tx transaction, t task, ttl time.Duration) (document.Work, error) {
	work := t.work
	work.Lease = uuid.New()
	work.Attempt++
	if t.state == document.Running {
		work.Crashes++
	}
	if _, err := tx.ExecContext(ctx, `
		UPDATE tasks SET state = 'running', attempt = ?5, crashes = ?6, round = round + 1,
		                 lease = ?7, lease_until = ?8, next_attempt_at = NULL, error = '',
		                 dispatched_at = coalesce(dispatched_at, ?9)
		WHERE tenant = ?1 AND document = ?2 AND version = ?3 AND kind = ?4`,
		tx.tenant, work.Document, work.Version, work.Kind, work.Attempt, work.Crashes, work.Lease, tx.now.add(ttl), tx.now); err != nil {
		return work, err
	}
	if _, err := tx.ExecContext(ctx, `
		UPDATE jobs SET started_at = coalesce(started_at, ?4)
		WHERE tenant = ?1 AND document = ?2 AND version = ?3`,
		tx.tenant, work.Document, work.Version, tx.now); err != nil {
		return work, err
	}
	if work.Kind == document.Knowledge {
		if _, err := tx.ExecContext(ctx, `
			DELETE FROM manifest WHERE tenant = ?1 AND document = ?2 AND version = ?3`,
			tx.tenant, work.Document, work.Version); err != nil {
			return work, err
		}
	}
	return work, combineJob(ctx, tx, work.Document, work.Version)
}

// Renew extends the lease.
func (s *Store) Renew(ctx context.Context, work document.Work, ttl time.Duration) (err error) {
	defer describe(&err, "renew %s", work)
	return s.write(ctx, func(tx transaction) error {
		if err := checkLease(ctx, tx, work); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `
			UPDATE tasks SET lease_until = ?5
			WHERE tenant = ?1 AND document = ?2 AND version = ?3 AND kind = ?4`,
			tx.tenant, work.Document, work.Version, work.Kind, tx.now.add(ttl))
		return err
	})
}

// Settle writes what became of a task that is not done.
func (s *Store) Settle(ctx context.Context, work document.Work, outcome document.Outcome) (err error) {
	defer describe(&err, "settle %s: %s", work, outcome.Verdict)
	return s.write(ctx, func(tx transaction) error {
		if err := checkLease(ctx, tx, work); err != nil {
			return err
		}
		switch outcome.Verdict {
		case document.VerdictFail:
			return endTask(ctx, tx, work.TaskRef, document.JobFailed, outcome.Error)
		case document.VerdictCancel:
			return endTask(ctx, tx, work.TaskRef, document.Cancelled, outcome.Error)
		case document.VerdictRetry:
			return postponeTask(ctx, tx, work, work.Attempt, outcome)
		case document.VerdictWait:
			return postponeTask(ctx, tx, work, work.Attempt-1, outcome)
		default:
			return fmt.Errorf("unknown verdict %q", outcome.Verdict)
		}
	})
}

// checkLease returns fault.LeaseLost unless the task is still the caller's.
// Writers call it first: nobody else writes until their transaction ends.
func checkLease(ctx context.Context, tx transaction, work document.Work) error {
	var ours bool
	if err := tx.QueryRowContext(ctx, `
		SELECT EXISTS (SELECT 1 FROM tasks
		               WHERE tenant = ?1 AND document = ?2 AND version = ?3 AND kind = ?4 AND lease = ?5)`,
		tx.tenant, work.Document, work.Version, work.Kind, work.Lease).Scan(&ours); err != nil {
		return err
	}
	if !ours {
		return fault.New(fault.LeaseLost, "the lease on %s is no longer ours", work)
	}
	return nil
}

// postponeTask has the task wait for its next attempt.
func postponeTask(ctx context.Context, tx transaction, work document.Work, attempt int, outcome document.Outcome) error {
	if _, err := tx.ExecContext(ctx, `
		UPDATE tasks SET state = 'waiting', attempt = ?5, error = ?6, next_attempt_at = ?7, lease = NULL, lease_until = NULL
		WHERE tenant = ?1 AND document = ?2 AND version = ?3 AND kind = ?4`,
		tx.tenant, work.Document, work.Version, work.Kind, attempt, outcome.Error, tx.now.add(outcome.Delay)); err != nil {
		return err
	}
	return combineJob(ctx, tx, work.Document, work.Version)
}

// endTask gives the task its final state, and the job and the document those
// that follow from it.
func endTask(ctx context.Context, tx transaction, ref document.TaskRef, state document.JobState, reason string) error {
	if _, err := tx.ExecContext(ctx, `
		UPDATE tasks SET state = ?5, error = ?6, next_attempt_at = NULL, lease = NULL, lease_until = NULL
		WHERE tenant = ?1 AND document = ?2 AND version = ?3 AND kind = ?4`,
		tx.tenant, ref.Document, ref.Version, ref.Kind, state, reason); err != nil {
		return err
	}
	if ref.Kind == document.Knowledge && state != document.Succeeded {
		if _, err := tx.ExecContext(ctx, `
			UPDATE documents SET state = 'failed', updated_at = ?4
			WHERE tenant = ?1 AND id = ?2 AND newest_version = ?3 AND live_version IS NULL AND deleted_at IS NULL`,
			tx.tenant, ref.Document, ref.Version, tx.now); err != nil {
			return err
		}
	}
	return combineJob(ctx, tx, ref.Document, ref.Version)
}

// cancelTasks ends every unended task of a document, or those of the one job
// that is not the zero id.
func cancelTasks(ctx context.Context, tx transaction, id, only uuid.UUID, reason string) error {
	rows, err := tx.QueryContext(ctx, `
		SELECT version, kind FROM tasks
		WHERE tenant = ?1 AND document = ?2 AND (?3 = ?4 OR job = ?3) AND state IN ('queued', 'running', 'waiting')`,
		tx.tenant, id, only, uuid.Nil)
	refs, err := collect(rows, err, func(row scanner) (document.TaskRef, error) {
		ref := document.TaskRef{Tenant: tx.tenant, Document: id}
		return ref, row.Scan(&ref.Version, &ref.Kind)
	})
	if err != nil {
		return err
	}
	for _, ref := range refs {
		if err := endTask(ctx, tx, ref, document.Cancelled, reason); err != nil {
			return err
		}
	}
	return nil
}

// ReleaseLeases has the lease of every running task of every tenant run out at
// once. A process that has just opened the database knows that whoever held
// them crashed, and Claim counts it: had it stopped, it would have handed them
// back.
func (s *Store) ReleaseLeases(ctx context.Context) (err error) {
	defer describe(&err, "release leases")
	_, err = s.writer.ExecContext(ctx, `UPDATE tasks SET lease_until = 0 WHERE state = 'running'`)
	return err
}
