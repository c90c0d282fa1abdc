package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype/zeronull"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/lifecycle"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
)

// claimReindex is claimTask for a reindex.
func (s *Store) claimReindex(ctx context.Context, ref task.Ref, lease uuid.UUID, ttl time.Duration) (work task.Work, err error) {
	if ref.Version != 1 {
		return work, lifecycle.TaskNotFound()
	}
	if ref.Tenant, err = tenant.From(ctx); err != nil {
		return work, err
	}
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		r, err := lockReindex(ctx, tx, ref.DocumentID)
		if err != nil {
			return err
		}
		is, err := r.state.Claim(lease, ttl, r.now)
		if err != nil {
			return err
		}
		r.countedAt = r.now
		if err := s.saveReindex(ctx, tx, r, is); err != nil {
			return err
		}
		work = task.Work{Ref: ref, JobID: is.ID, Lease: is.Lease, Attempt: is.Attempt, Crashes: is.Crashes, Collection: r.Collection}
		work.Space, err = readSpace(ctx, tx, is.Builds())
		return err
	})
	return work, err
}

// lockReindex locks the collection of a reindex and then its row, and returns it, or
// fault.NotFound. Every transaction that changes the state of a reindex or the spaces of
// a collection takes the locks in this order: so the spaces do not change, and there is
// no deadlock. The last two statements begin when the locks are held.
func lockReindex(ctx context.Context, tx pgx.Tx, id uuid.UUID) (r reindex, err error) {
	var c lockedCollection
	var batch pgx.Batch
	batch.Queue(`SELECT FROM collections c WHERE `+collectionOfReindex+` FOR NO KEY UPDATE`, id)
	batch.Queue(`SELECT FROM reindexes WHERE id = $1 FOR NO KEY UPDATE`, id)
	batch.Queue(selectReindexes+`
		WHERE r.id = $1`, id).QueryRow(func(row pgx.Row) (err error) {
		r, err = scanReindex(row)
		return err
	})
	queueReadCollection(&batch, collectionOfReindex, id, &c)
	err = tx.SendBatch(ctx, &batch).Close()
	if isNoRows(err) {
		err = lifecycle.ReindexNotFound(id)
	}
	r.state.Collection, r.now = c.Collection, c.now
	return r, err
}

// lockLeasedReindex is lockReindex for a caller that holds the lease; otherwise it
// returns fault.LeaseLost.
func lockLeasedReindex(ctx context.Context, tx pgx.Tx, work task.Work) (reindex, error) {
	r, err := lockReindex(ctx, tx, work.JobID)
	if fault.Is(err, fault.NotFound) {
		err = errLeaseLost(work)
	}
	if err == nil {
		err = r.state.CheckLease(work)
	}
	return r, err
}

// saveReindex writes the next state of a reindex that is locked, and of the spaces of
// its collection.
func (s *Store) saveReindex(ctx context.Context, tx pgx.Tx, was reindex, is lifecycle.Reindex) error {
	if err := saveSpaces(ctx, tx, was.state.Collection, &is.Collection, &is.To); err != nil {
		return err
	}
	claimed := is.Lease != uuid.Nil && is.Lease != was.state.Lease
	_, err := tx.Exec(ctx, `
		UPDATE reindexes SET stage = $2, from_space = $3, to_space = $4, last_document = $5, failed = $6, progress = $7, started_at = $8, finished_at = $9,
		                     counted_at = $10, process = CASE WHEN $11 THEN $12 ELSE process END,
		                     state = $13, attempt = $14, crashes = $15, round = $16, error = $17, lease = $18, lease_until = $19, next_attempt_at = $20, dispatched_at = $21
		WHERE id = $1`, is.ID, is.Stage, is.From, is.To, zeronull.UUID(is.Checkpoint), is.FailedJobs, is.Progress, zeronull.Timestamptz(is.StartedAt), zeronull.Timestamptz(is.FinishedAt),
		zeronull.Timestamptz(was.countedAt), claimed, s.processID,
		is.State, is.Attempt, is.Crashes, is.Round, is.Error, zeronull.UUID(is.Lease), zeronull.Timestamptz(is.LeaseUntil), zeronull.Timestamptz(is.NextAttemptAt), zeronull.Timestamptz(is.DispatchedAt))
	return err
}

func renewReindexLease(ctx context.Context, tx pgx.Tx, work task.Work, ttl time.Duration) error {
	return fenceReindex(ctx, tx, work, `
		UPDATE reindexes SET lease_until = clock_timestamp() + $3::interval
		WHERE id = $1 AND lease = $2`, ttl)
}

// recordReindexOutcome is RecordOutcome for a reindex.
func (s *Store) recordReindexOutcome(ctx context.Context, tx pgx.Tx, work task.Work, outcome task.Outcome) error {
	r, err := lockLeasedReindex(ctx, tx, work)
	if err != nil {
		return err
	}
	is, err := r.state.RecordOutcome(work, outcome, r.now)
	if err != nil {
		return err
	}
	return s.saveReindex(ctx, tx, r, is)
}

// fenceReindex sends an update of the reindex with the id $1 and the lease $2, and
// returns fault.LeaseLost when there is none. args are the parameters from $3 on.
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
