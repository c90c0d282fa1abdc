package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// RenewLease extends the lease.
func (s *Store) RenewLease(ctx context.Context, work task.Work, ttl time.Duration) (err error) {
	defer wrapError(&err, "renew %s", work)
	return s.inWriteTransaction(ctx, func(tx transaction) error {
		if err := checkLease(ctx, tx, work); err != nil {
			return err
		}
		if work.Kind == task.KindReindex {
			return renewReindexLease(ctx, tx, work, ttl)
		}
		_, err := tx.ExecContext(ctx, `
			UPDATE tasks SET lease_until = ?5
			WHERE tenant = ?1 AND document = ?2 AND version = ?3 AND kind = ?4`,
			tx.tenant, work.DocumentID, work.Version, work.Kind, tx.now.add(ttl))
		return err
	})
}

// RecordOutcome writes what became of a task that is not done.
func (s *Store) RecordOutcome(ctx context.Context, work task.Work, outcome task.Outcome) (err error) {
	defer wrapError(&err, "settle %s: %s", work, outcome.Verdict)
	return s.inWriteTransaction(ctx, func(tx transaction) error {
		if err := checkLease(ctx, tx, work); err != nil {
			return err
		}
		end, postpone := endTask, postponeTask
		if work.Kind == task.KindReindex {
			end, postpone = abortReindex, postponeReindex
		}
		switch outcome.Verdict {
		case task.VerdictFail:
			return end(ctx, tx, work.Ref, document.JobFailed, outcome.Error)
		case task.VerdictCancel:
			return end(ctx, tx, work.Ref, document.JobCancelled, outcome.Error)
		case task.VerdictRetry:
			return postpone(ctx, tx, work, work.Attempt, outcome)
		case task.VerdictWait:
			return postpone(ctx, tx, work, work.Attempt-1, outcome)
		default:
			return fmt.Errorf("unknown verdict %q", outcome.Verdict)
		}
	})
}

// checkLease returns fault.LeaseLost unless the task is still the caller's.
// Writers call it first: nobody else writes until their transaction ends.
func checkLease(ctx context.Context, tx transaction, work task.Work) error {
	holds := holdsTaskLease
	if work.Kind == task.KindReindex {
		holds = holdsReindexLease
	}
	ours, err := holds(ctx, tx, work)
	if err != nil {
		return err
	}
	if !ours {
		return fault.New(fault.LeaseLost, "the lease on %s is no longer ours", work)
	}
	return nil
}

func holdsTaskLease(ctx context.Context, tx transaction, work task.Work) (ours bool, err error) {
	err = tx.QueryRowContext(ctx, `
		SELECT EXISTS (SELECT 1 FROM tasks
		               WHERE tenant = ?1 AND document = ?2 AND version = ?3 AND kind = ?4 AND lease = ?5)`,
		tx.tenant, work.DocumentID, work.Version, work.Kind, work.Lease).Scan(&ours)
	return ours, err
}

// postponeTask has the task wait for its next attempt.
func postponeTask(ctx context.Context, tx transaction, work task.Work, attempt int, outcome task.Outcome) error {
	if _, err := tx.ExecContext(ctx, `
		UPDATE tasks SET state = 'waiting', attempt = ?5, error = ?6, next_attempt_at = ?7, lease = NULL, lease_until = NULL
		WHERE tenant = ?1 AND document = ?2 AND version = ?3 AND kind = ?4`,
		tx.tenant, work.DocumentID, work.Version, work.Kind, attempt, outcome.Error, tx.now.add(outcome.Delay)); err != nil {
		return err
	}
	return updateJobState(ctx, tx, work.DocumentID, work.Version)
}

// endTask gives the task its final state, and the job and the document those
// that follow from it.
func endTask(ctx context.Context, tx transaction, ref task.Ref, state document.JobState, reason string) error {
	if _, err := tx.ExecContext(ctx, `
		UPDATE tasks SET state = ?5, error = ?6, next_attempt_at = NULL, lease = NULL, lease_until = NULL
		WHERE tenant = ?1 AND document = ?2 AND version = ?3 AND kind = ?4`,
		tx.tenant, ref.DocumentID, ref.Version, ref.Kind, state, reason); err != nil {
		return err
	}
	if ref.Kind == task.KindKnowledge && state != document.JobSucceeded {
		if _, err := tx.ExecContext(ctx, `
			UPDATE documents SET state = 'failed', updated_at = ?4
			WHERE tenant = ?1 AND id = ?2 AND newest_version = ?3 AND published_version IS NULL AND deleted_at IS NULL`,
			tx.tenant, ref.DocumentID, ref.Version, tx.now); err != nil {
			return err
		}
	}
	return updateJobState(ctx, tx, ref.DocumentID, ref.Version)
}

// cancelTasks ends every unended task of a document, or those of the one job
// that is not the zero id.
func cancelTasks(ctx context.Context, tx transaction, id, only uuid.UUID, reason string) error {
	rows, err := tx.QueryContext(ctx, `
		SELECT version, kind FROM tasks
		WHERE tenant = ?1 AND document = ?2 AND (?3 = ?4 OR job = ?3) AND state IN ('queued', 'running', 'waiting')`,
		tx.tenant, id, only, uuid.Nil)
	refs, err := collectRows(rows, err, func(row scanner) (task.Ref, error) {
		ref := task.Ref{Tenant: tx.tenant, DocumentID: id}
		return ref, row.Scan(&ref.Version, &ref.Kind)
	})
	if err != nil {
		return err
	}
	for _, ref := range refs {
		if err := endTask(ctx, tx, ref, document.JobCancelled, reason); err != nil {
			return err
		}
	}
	return nil
}

// ExpireLeases has the lease of every running task of every tenant, and of
// every reindex, run out at once. A process that has just opened the database
// knows that whoever held them crashed, and Claim counts it: had it stopped, it
// would have handed them back.
func (s *Store) ExpireLeases(ctx context.Context) (err error) {
	defer wrapError(&err, "release leases")
	_, err = s.writer.ExecContext(ctx, `
		UPDATE tasks SET lease_until = 0 WHERE state = 'running';
		UPDATE reindexes SET lease_until = 0 WHERE state = 'running'`)
	return err
}
