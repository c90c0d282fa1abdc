package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// updateReindex locks a reindex, has steer do something to it, and returns it
// as it is then.
func (s *Store) updateReindex(ctx context.Context, id uuid.UUID, steer func(tx pgx.Tx, r lockedReindex) error) (steered document.Reindex, err error) {
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		r, err := lockReindex(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := steer(tx, r); err != nil {
			return err
		}
		steered, err = readReindex(ctx, tx, id)
		return err
	})
	return steered, err
}

// PauseReindex ends the lease and has nothing more written to the space.
func (s *Store) PauseReindex(ctx context.Context, id uuid.UUID) (paused document.Reindex, err error) {
	defer wrapError(&err, "pause reindex %s", id)
	return s.updateReindex(ctx, id, func(tx pgx.Tx, r lockedReindex) error {
		switch {
		case r.State.Ended():
			return fault.New(fault.Conflict, "reindex %s has %s: there is nothing left to pause", id, endedPhrase(r.State))
		case r.State == document.JobPaused:
			return nil
		}
		var batch pgx.Batch
		batch.Queue(`
			UPDATE reindexes SET state = 'paused', error = '', next_attempt_at = NULL, dispatched_at = NULL,
			                     lease = NULL, lease_until = NULL
			WHERE id = $1`, id)
		batch.Queue(`UPDATE spaces SET written = false WHERE id = $1 AND id <> $2`, r.targetSpace(), r.activeSpace)
		return tx.SendBatch(ctx, &batch).Close()
	})
}

// ResumeReindex gives a paused or failed reindex a fresh start.
func (s *Store) ResumeReindex(ctx context.Context, id uuid.UUID) (resumed document.Reindex, err error) {
	defer wrapError(&err, "resume reindex %s", id)
	return s.updateReindex(ctx, id, func(tx pgx.Tx, r lockedReindex) error {
		switch r.State {
		case document.JobSucceeded, document.JobCancelled:
			return fault.New(fault.Conflict, "reindex %s has %s: begin another one", id, endedPhrase(r.State))
		case document.JobPaused, document.JobFailed:
			return resumeReindex(ctx, tx, r)
		default:
			return nil
		}
	})
}

// resumeReindex queues a reindex again. Since it failed another space may have
// become live, and the one that it was building been dropped: it builds from
// what is live now, and makes its space anew. One whose jobs failed looks at
// all documents again.
func resumeReindex(ctx context.Context, tx pgx.Tx, r lockedReindex) error {
	if err := checkNoActiveReindex(ctx, tx, r.collection, r.ID); err != nil {
		return err
	}
	if r.Stage != document.StageReverting {
		r.fromSpace, r.Stage = r.activeSpace, document.StageDocuments
	}
	afresh := r.failedJobs > 0
	if target := r.targetSpace(); target != r.activeSpace {
		kept, err := keepSpaceComplete(ctx, tx, target)
		switch {
		case err != nil:
			return err
		case !kept && r.Stage == document.StageReverting:
			return fault.New(fault.Conflict, "reindex %s was going back to a space that is gone by now", r.ID)
		case !kept:
			afresh = true
			if r.toSpace, err = ensureSpace(ctx, tx, r.wantedSpace()); err != nil {
				return err
			}
		}
	}
	return restartReindex(ctx, tx, r, afresh)
}

// restartReindex queues a reindex again, in a new round, lest an entry of the one
// before is still in the queue. Afresh it looks at all documents.
func restartReindex(ctx context.Context, tx pgx.Tx, r lockedReindex, afresh bool) error {
	_, err := tx.Exec(ctx, `
		UPDATE reindexes SET state = 'queued', stage = $2, from_space = $3, to_space = $4, attempt = 0, crashes = 0, failed = 0,
		                     round = round + 1, error = '', dispatched_at = NULL, finished_at = NULL,
		                     last_document = CASE WHEN NOT $5 THEN last_document END,
		                     progress = CASE WHEN NOT $5 THEN progress ELSE '{}' END
		WHERE id = $1`, r.ID, r.Stage, r.fromSpace, r.toSpace, afresh)
	return err
}

// keepSpaceComplete keeps a space complete from now on, and reports whether it is
// still there.
func keepSpaceComplete(ctx context.Context, tx pgx.Tx, id int64) (kept bool, err error) {
	tag, err := tx.Exec(ctx, `
		UPDATE spaces SET written = true, drop_after = NULL
		WHERE id = $1 AND (drop_after IS NULL OR drop_after > '-infinity')`, id)
	return tag.RowsAffected() > 0, err
}

// CancelReindex ends a reindex. One that was reverting is done as before.
func (s *Store) CancelReindex(ctx context.Context, id uuid.UUID, keep time.Duration) (cancelled document.Reindex, err error) {
	defer wrapError(&err, "cancel reindex %s", id)
	return s.updateReindex(ctx, id, func(tx pgx.Tx, r lockedReindex) error {
		switch {
		case r.State == document.JobCancelled:
			return nil
		case r.State.Ended():
			return fault.New(fault.Conflict, "reindex %s has %s: there is nothing left to cancel", id, endedPhrase(r.State))
		}
		if err := scheduleTargetDrop(ctx, tx, r, keep); err != nil {
			return err
		}
		if r.Stage != document.StageReverting {
			return endReindex(ctx, tx, r, document.JobCancelled, r.Stage, reasonCancelledOnRequest)
		}
		r.Progress = document.ReindexProgress{} // it was that of the way back, by the model from before
		return endReindex(ctx, tx, r, document.JobSucceeded, document.StageDone, "")
	})
}

// endedPhrase completes "it has …" with the word for an ended state.
func endedPhrase(state document.JobState) string {
	if state == document.JobCancelled {
		return "been cancelled"
	}
	return string(state)
}
