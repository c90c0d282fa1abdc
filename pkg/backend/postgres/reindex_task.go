package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
	"github.com/seed-7a112592/gristmill/pkg/tenant"
)

// keepFailed is how long the space is kept that a reindex was building when it
// failed: until then its vectors need not be bought again.
const keepFailed = 24 * time.Hour

// claimReindex is claimTask for a reindex.
func (s *Store) claimReindex(ctx context.Context, ref document.TaskRef, lease uuid.UUID, ttl time.Duration) (work document.Work, err error) {
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		r, err := lockReindex(ctx, tx, ref.Document)
		switch {
		case err != nil:
			return err
		case ref.Version != 1:
			return fault.New(fault.NotFound, "there is no such task")
		case r.State.Ended() || r.State == document.Paused:
			return fault.New(fault.NotFound, "the reindex is %s", r.State)
		}
		work, err = s.leaseReindex(ctx, tx, r, lease, ttl)
		return err
	})
	return work, err
}

// leaseReindex begins the next attempt.
func (s *Store) leaseReindex(ctx context.Context, tx pgx.Tx, r reindex, lease uuid.UUID, ttl time.Duration) (document.Work, error) {
	id, err := tenant.From(ctx)
	if err != nil {
		return document.Work{}, err
	}
	work := document.Work{
		TaskRef:    document.TaskRef{Tenant: id, Document: r.ID, Version: 1, Kind: document.Reindexing},
		Job:        r.ID,
		Lease:      lease,
		Attempt:    r.Attempt,
		Crashes:    r.crashes,
		Collection: r.Collection,
	}
	if err := beginAttempt(&work, r.lease, r.State, r.wait); err != nil {
		return document.Work{}, err
	}
	if _, err := tx.Exec(ctx, `
		UPDATE reindexes SET state = 'running', attempt = $2, crashes = $3, round = round + 1,
		                     lease = $4, lease_until = clock_timestamp() + $5::interval, next_attempt_at = NULL, error = '',
		                     dispatched_at = coalesce(dispatched_at, clock_timestamp()),
		                     started_at = coalesce(started_at, now()), counted_at = clock_timestamp(), process = $6
		WHERE id = $1`, r.ID, work.Attempt, work.Crashes, work.Lease, ttl, s.process); err != nil {
		return document.Work{}, err
	}
	work.Space, err = readSpace(ctx, tx, r.target())
	return work, err
}

func renewReindex(ctx context.Context, tx pgx.Tx, work document.Work, ttl time.Duration) error {
	return fenceReindex(ctx, tx, work, `
		UPDATE reindexes SET lease_until = clock_timestamp() + $3::interval
		WHERE id = $1 AND lease = $2`, ttl)
}

// settleReindex is Settle for a reindex.
func settleReindex(ctx context.Context, tx pgx.Tx, work document.Work, outcome document.Outcome) error {
	r, err := lockOwnReindex(ctx, tx, work)
	if err != nil {
		return err
	}
	switch outcome.Verdict {
	case document.VerdictFail, document.VerdictCancel:
		state := document.JobFailed
		if outcome.Verdict == document.VerdictCancel {
			state = document.Cancelled
		}
		if err := leaveTarget(ctx, tx, r, keepFailed); err != nil {
			return err
		}
		return endReindex(ctx, tx, r, state, r.Stage, outcome.Error)
	case document.VerdictRetry:
		return postponeReindex(ctx, tx, r, r.Attempt, outcome)
	case document.VerdictWait:
		return postponeReindex(ctx, tx, r, r.Attempt-1, outcome)
	default:
		return fmt.Errorf("unknown verdict %q", outcome.Verdict)
	}
}

// postponeReindex has the reindex wait for its next attempt.
func postponeReindex(ctx context.Context, tx pgx.Tx, r reindex, attempt int, outcome document.Outcome) error {
	_, err := tx.Exec(ctx, `
		UPDATE reindexes SET state = 'waiting', attempt = $2, error = $3, next_attempt_at = clock_timestamp() + $4::interval,
		                     lease = NULL, lease_until = NULL
		WHERE id = $1`, r.ID, attempt, storable(outcome.Error), outcome.Delay)
	return err
}

// endReindex gives a reindex its final state and stage, and writes its progress.
func endReindex(ctx context.Context, tx pgx.Tx, r reindex, state document.JobState, stage document.ReindexStage, reason string) error {
	_, err := tx.Exec(ctx, `
		UPDATE reindexes SET state = $2, stage = $3, error = $4, progress = $5, finished_at = now(), next_attempt_at = NULL,
		                     lease = NULL, lease_until = NULL
		WHERE id = $1`, r.ID, state, stage, storable(reason), r.Progress)
	return err
}

// leaveTarget has nothing more written to the space that the reindex builds but
// has not made live, and drops it after keep.
func leaveTarget(ctx context.Context, tx pgx.Tx, r reindex, keep time.Duration) error {
	if r.target() == r.live {
		return nil
	}
	_, err := tx.Exec(ctx, leaveSpace, r.target(), false, keep)
	return err
}

// fenceReindex is fence for a reindex. The update is of the one with the id $1
// and the lease $2; args are its other parameters.
func fenceReindex(ctx context.Context, tx pgx.Tx, work document.Work, update string, args ...any) error {
	tag, err := tx.Exec(ctx, update, append([]any{work.Job, work.Lease}, args...)...)
	if err == nil && tag.RowsAffected() == 0 {
		return leaseLost(work)
	}
	return err
}

// checkReindexLease is checkLease for a reindex.
func checkReindexLease(ctx context.Context, tx pgx.Tx, work document.Work) error {
	var ours bool
	err := tx.QueryRow(ctx, `
		SELECT EXISTS (SELECT FROM reindexes WHERE id = $1 AND lease = $2)`, work.Job, work.Lease).Scan(&ours)
	if err == nil && !ours {
		return leaseLost(work)
	}
	return err
}
