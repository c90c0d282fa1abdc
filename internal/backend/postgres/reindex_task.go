package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// failedSpaceRetention is how long the space is kept that a reindex was building when it
// failed: until then its vectors need not be bought again.
const failedSpaceRetention = 24 * time.Hour

// claimReindex is claimTask for a reindex.
func (s *Store) claimReindex(ctx context.Context, ref task.Ref, lease uuid.UUID, ttl time.Duration) (work task.Work, err error) {
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		r, err := lockReindex(ctx, tx, ref.DocumentID)
		switch {
		case err != nil:
			return err
		case ref.Version != 1:
			return fault.New(fault.NotFound, "there is no such task")
		case r.State.Ended() || r.State == document.JobPaused:
			return fault.New(fault.NotFound, "the reindex is %s", r.State)
		}
		work, err = s.leaseReindex(ctx, tx, r, lease, ttl)
		return err
	})
	return work, err
}

// leaseReindex begins the next attempt.
func (s *Store) leaseReindex(ctx context.Context, tx pgx.Tx, r lockedReindex, lease uuid.UUID, ttl time.Duration) (task.Work, error) {
	id, err := tenant.From(ctx)
	if err != nil {
		return task.Work{}, err
	}
	work := task.Work{
		Ref:        task.Ref{Tenant: id, DocumentID: r.ID, Version: 1, Kind: task.KindReindex},
		JobID:      r.ID,
		Lease:      lease,
		Attempt:    r.Attempt,
		Crashes:    r.crashes,
		Collection: r.Collection,
	}
	if err := beginAttempt(&work, r.lease, r.State, r.claimableIn); err != nil {
		return task.Work{}, err
	}
	if _, err := tx.Exec(ctx, `
		UPDATE reindexes SET state = 'running', attempt = $2, crashes = $3, round = round + 1,
		                     lease = $4, lease_until = clock_timestamp() + $5::interval, next_attempt_at = NULL, error = '',
		                     dispatched_at = coalesce(dispatched_at, clock_timestamp()),
		                     started_at = coalesce(started_at, now()), counted_at = clock_timestamp(), process = $6
		WHERE id = $1`, r.ID, work.Attempt, work.Crashes, work.Lease, ttl, s.processID); err != nil {
		return task.Work{}, err
	}
	work.Space, err = readSpace(ctx, tx, r.targetSpace())
	return work, err
}

func renewReindexLease(ctx context.Context, tx pgx.Tx, work task.Work, ttl time.Duration) error {
	return fenceReindex(ctx, tx, work, `
		UPDATE reindexes SET lease_until = clock_timestamp() + $3::interval
		WHERE id = $1 AND lease = $2`, ttl)
}

// writeReindexOutcome is Settle for a reindex.
func writeReindexOutcome(ctx context.Context, tx pgx.Tx, work task.Work, outcome task.Outcome) error {
	r, err := lockLeasedReindex(ctx, tx, work)
	if err != nil {
		return err
	}
	switch outcome.Verdict {
	case task.VerdictFail, task.VerdictCancel:
		state := document.JobFailed
		if outcome.Verdict == task.VerdictCancel {
			state = document.JobCancelled
		}
		if err := scheduleTargetDrop(ctx, tx, r, failedSpaceRetention); err != nil {
			return err
		}
		return endReindex(ctx, tx, r, state, r.Stage, outcome.Error)
	case task.VerdictRetry:
		return postponeReindex(ctx, tx, r, r.Attempt, outcome)
	case task.VerdictWait:
		return postponeReindex(ctx, tx, r, r.Attempt-1, outcome)
	default:
		return fmt.Errorf("unknown verdict %q", outcome.Verdict)
	}
}

// postponeReindex has the reindex wait for its next attempt.
func postponeReindex(ctx context.Context, tx pgx.Tx, r lockedReindex, attempt int, outcome task.Outcome) error {
	_, err := tx.Exec(ctx, `
		UPDATE reindexes SET state = 'waiting', attempt = $2, error = $3, next_attempt_at = clock_timestamp() + $4::interval,
		                     lease = NULL, lease_until = NULL
		WHERE id = $1`, r.ID, attempt, sanitizeText(outcome.Error), outcome.Delay)
	return err
}

// endReindex gives a reindex its final state and stage, and writes its progress.
func endReindex(ctx context.Context, tx pgx.Tx, r lockedReindex, state document.JobState, stage document.ReindexStage, reason string) error {
	_, err := tx.Exec(ctx, `
		UPDATE reindexes SET state = $2, stage = $3, error = $4, progress = $5, finished_at = now(), next_attempt_at = NULL,
		                     lease = NULL, lease_until = NULL
		WHERE id = $1`, r.ID, state, stage, sanitizeText(reason), r.Progress)
	return err
}

// scheduleTargetDrop has nothing more written to the space that the reindex builds but
// has not made live, and drops it after keep.
func scheduleTargetDrop(ctx context.Context, tx pgx.Tx, r lockedReindex, keep time.Duration) error {
	if r.targetSpace() == r.activeSpace {
		return nil
	}
	_, err := tx.Exec(ctx, scheduleSpaceDrop, r.targetSpace(), false, keep)
	return err
}

// fenceReindex is fence for a reindex. The update is of the one with the id $1
// and the lease $2; args are its other parameters.
func fenceReindex(ctx context.Context, tx pgx.Tx, work task.Work, update string, args ...any) error {
	tag, err := tx.Exec(ctx, update, append([]any{work.JobID, work.Lease}, args...)...)
	if err == nil && tag.RowsAffected() == 0 {
		return errLeaseLost(work)
	}
	return err
}

// checkReindexLease is checkLease for a reindex.
func checkReindexLease(ctx context.Context, tx pgx.Tx, work task.Work) error {
	var ours bool
	err := tx.QueryRow(ctx, `
		SELECT EXISTS (SELECT FROM reindexes WHERE id = $1 AND lease = $2)`, work.JobID, work.Lease).Scan(&ours)
	if err == nil && !ours {
		return errLeaseLost(work)
	}
	return err
}
