package sqlite

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// What tasks.go and claiming.go do to a task of a job, for a reindex.

// failedSpaceRetention is how long the space of a reindex that was given up is kept, so
// that its vectors need not be bought again.
const failedSpaceRetention = 24 * time.Hour

func loadReindexTask(ctx context.Context, tx transaction, ref task.Ref) (lockedTask, error) {
	t := lockedTask{work: task.Work{Ref: ref, JobID: ref.DocumentID}}
	t.work.Tenant = tx.tenant
	r, err := loadReindex(ctx, tx, ref.DocumentID)
	switch {
	case err != nil:
		return t, err
	case ref.Version != 1:
		return t, fault.New(fault.NotFound, "there is no such task")
	case r.State.Ended(), r.State == document.JobPaused:
		return t, fault.New(fault.NotFound, "the reindex is not to be worked at: it is %s", r.State)
	}
	t.state, t.leaseUntil = r.State, r.leaseUntil
	t.work.Attempt, t.work.Crashes, t.work.Collection = r.Attempt, r.crashes, r.Collection
	if r.NextAttemptAt != nil {
		due := microsOf(*r.NextAttemptAt)
		t.nextAttemptAt = &due
	}
	t.work.Space, err = readSpace(ctx, tx, r.targetSpace())
	return t, err
}

func leaseReindex(ctx context.Context, tx transaction, work task.Work, ttl time.Duration) error {
	_, err := tx.ExecContext(ctx, `
		UPDATE reindexes SET state = 'running', attempt = ?3, crashes = ?4, round = round + 1,
		                     lease = ?5, lease_until = ?6, next_attempt_at = NULL, error = '',
		                     dispatched_at = coalesce(dispatched_at, ?7), started_at = coalesce(started_at, ?7), counted_at = ?7
		WHERE tenant = ?1 AND id = ?2`,
		tx.tenant, work.DocumentID, work.Attempt, work.Crashes, work.Lease, tx.now.add(ttl), tx.now)
	return err
}

func renewReindexLease(ctx context.Context, tx transaction, work task.Work, ttl time.Duration) error {
	_, err := tx.ExecContext(ctx, `
		UPDATE reindexes SET lease_until = ?3 WHERE tenant = ?1 AND id = ?2`,
		tx.tenant, work.DocumentID, tx.now.add(ttl))
	return err
}

func holdsReindexLease(ctx context.Context, tx transaction, work task.Work) (ours bool, err error) {
	err = tx.QueryRowContext(ctx, `
		SELECT EXISTS (SELECT 1 FROM reindexes WHERE tenant = ?1 AND id = ?2 AND lease = ?3)`,
		tx.tenant, work.DocumentID, work.Lease).Scan(&ours)
	return ours, err
}

// loadLeasedReindex returns the reindex of the work, or fault.LeaseLost.
func loadLeasedReindex(ctx context.Context, tx transaction, work task.Work) (reindex, error) {
	if err := checkLease(ctx, tx, work); err != nil {
		return reindex{}, err
	}
	return loadReindex(ctx, tx, work.DocumentID)
}

// postponeReindex has the reindex wait for its next attempt.
func postponeReindex(ctx context.Context, tx transaction, work task.Work, attempt int, outcome task.Outcome) error {
	_, err := tx.ExecContext(ctx, `
		UPDATE reindexes SET state = 'waiting', attempt = ?3, error = ?4, next_attempt_at = ?5, lease = NULL, lease_until = NULL
		WHERE tenant = ?1 AND id = ?2`,
		tx.tenant, work.DocumentID, attempt, outcome.Error, tx.now.add(outcome.Delay))
	return err
}

// abortReindex ends a reindex that did not get to its end, and leaves the
// space that it was building.
func abortReindex(ctx context.Context, tx transaction, ref task.Ref, state document.JobState, reason string) error {
	r, err := loadReindex(ctx, tx, ref.DocumentID)
	if err != nil {
		return err
	}
	if r.Change != document.ChangeNothing {
		if err := scheduleSpaceDrop(ctx, tx, r.targetSpace(), false, failedSpaceRetention); err != nil {
			return err
		}
	}
	return endReindex(ctx, tx, r.ID, state, r.Stage, reason)
}

// endReindex gives the reindex its final state.
func endReindex(ctx context.Context, tx transaction, id uuid.UUID, state document.JobState, stage document.ReindexStage, reason string) error {
	_, err := tx.ExecContext(ctx, `
		UPDATE reindexes SET state = ?3, stage = ?4, error = ?5, finished_at = ?6,
		                     next_attempt_at = NULL, lease = NULL, lease_until = NULL
		WHERE tenant = ?1 AND id = ?2`, tx.tenant, id, state, stage, reason, tx.now)
	return err
}

// saveReindexProgress keeps what a reindex has done so far.
func saveReindexProgress(ctx context.Context, tx transaction, id uuid.UUID, progress document.ReindexProgress) error {
	text, err := json.Marshal(progress)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `
		UPDATE reindexes SET progress = ?3 WHERE tenant = ?1 AND id = ?2`, tx.tenant, id, string(text))
	return err
}
