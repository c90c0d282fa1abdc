package sqlite

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/lifecycle"
	"github.com/seed-7a112592/gristmill/internal/task"
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
		if work.Kind == task.KindReindex {
			if err := checkLease(ctx, tx, work); err != nil {
				return err
			}
			return changeReindex(ctx, tx, work.DocumentID, func(r lifecycle.Reindex) (lifecycle.Reindex, error) {
				return r.RecordOutcome(work, outcome, tx.now.time())
			})
		}
		was, err := loadOwn(ctx, tx, work)
		if err != nil {
			return err
		}
		is, err := was.RecordOutcome(work, outcome, tx.now.time())
		if err != nil {
			return err
		}
		return saveJob(ctx, tx, was, is)
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
		return lifecycle.LeaseLost(work.Ref)
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

// abandon ends every unended task of a document that is deleted.
func abandon(ctx context.Context, tx transaction, id uuid.UUID) error {
	rows, err := tx.QueryContext(ctx, selectStates+unendedJobs, tx.tenant, id)
	jobs, err := collectRows(rows, err, scanState)
	if err != nil {
		return err
	}
	for _, job := range jobs {
		if err := saveJob(ctx, tx, job, job.CancelDeleted(tx.now.time())); err != nil {
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
