package sqlite

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/lifecycle"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// claimReindexTask is claimTask for a reindex.
func claimReindexTask(ctx context.Context, tx transaction, ref task.Ref, ttl time.Duration) (work task.Work, refused, err error) {
	var is lifecycle.Reindex
	if err := changeReindex(ctx, tx, ref.DocumentID, func(r lifecycle.Reindex) (lifecycle.Reindex, error) {
		if ref.Version != 1 {
			return r, lifecycle.TaskNotFound()
		}
		is, err = r.Claim(uuid.New(), ttl, tx.now.time())
		return is, err
	}); err != nil {
		return work, nil, err
	}
	r, err := loadReindex(ctx, tx, is.ID)
	if err != nil {
		return work, nil, err
	}
	if err := tx.exec(ctx, `UPDATE reindexes SET counted_at = ?3 WHERE tenant = ?1 AND id = ?2`, tx.tenant, is.ID, tx.now); err != nil {
		return work, nil, err
	}
	work = task.Work{Ref: ref, JobID: is.ID, Lease: is.Lease, Attempt: is.Attempt, Crashes: is.Crashes, Collection: r.Collection}
	work.Space, err = readSpace(ctx, tx, is.Builds())
	return work, nil, err
}

func renewReindexLease(ctx context.Context, tx transaction, work task.Work, ttl time.Duration) error {
	return tx.exec(ctx, `
		UPDATE reindexes SET lease_until = ?3 WHERE tenant = ?1 AND id = ?2`,
		tx.tenant, work.DocumentID, tx.now.add(ttl))
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

// changeReindex saves what becomes of a reindex and of its collection's spaces.
func changeReindex(ctx context.Context, tx transaction, id uuid.UUID, event func(lifecycle.Reindex) (lifecycle.Reindex, error)) error {
	r, err := loadReindex(ctx, tx, id)
	if err != nil {
		return err
	}
	was := r.state
	if was.Collection, err = loadCollection(ctx, tx, r.collection); err != nil {
		return err
	}
	is, err := event(was)
	if err != nil {
		return err
	}
	if err := saveSpaces(ctx, tx, was.Collection, &is.Collection, &is.To); err != nil {
		return err
	}
	progress, err := json.Marshal(is.Progress)
	if err != nil {
		return err
	}
	return tx.exec(ctx, `
		UPDATE reindexes SET (stage, from_space, to_space, last_document, progress, started_at, finished_at,
		                      state, attempt, crashes, round, error, lease, lease_until, next_attempt_at, dispatched_at)
		= (?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)
		WHERE tenant = ?1 AND id = ?2`, append([]any{tx.tenant, id, is.Stage, is.From, is.To, orNull(is.Checkpoint), string(progress),
		instant(is.StartedAt), instant(is.FinishedAt)}, taskValues(is.Task)...)...)
}

// saveReindexProgress keeps what a reindex has done so far.
func saveReindexProgress(ctx context.Context, tx transaction, id uuid.UUID, progress document.ReindexProgress) error {
	text, err := json.Marshal(progress)
	if err != nil {
		return err
	}
	return tx.exec(ctx, `
		UPDATE reindexes SET progress = ?3 WHERE tenant = ?1 AND id = ?2`, tx.tenant, id, string(text))
}
