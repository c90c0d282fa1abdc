package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Publishing a version holds a shared lock on the collection's live space, and
// making another space live an exclusive one: every version that became live
// without that space is seen by then in spaces.missed_publications.
const (
	lockPublishingShared    = `SELECT pg_advisory_xact_lock_shared(hashtextextended('space/' || $1::uuid, 0))`
	lockPublishingExclusive = `SELECT pg_advisory_xact_lock(hashtextextended('space/' || $1::uuid, 0))`
)

// activationTries is how often documents are counted before a switch is given up
// because others go on being published without the space.
const activationTries = 3

// errPublishedMeanwhile is the failure of a switch because a version has become live without
// the space since documents were counted.
var errPublishedMeanwhile = errors.New("a document was published without the space")

// ActivateSpace makes the space that a reindex has built the live one, and ends the
// reindex. It counts without a lock what is missing: the lock is held only to see
// that nothing has come to be missing since.
func (s *Store) ActivateSpace(ctx context.Context, work task.Work, keep time.Duration, progress document.ReindexProgress) (err error) {
	defer wrapError(&err, "switch collection %q to space %d", work.Collection, work.Space.ID)
	for try := 1; ; try++ {
		var r lockedReindex
		var missed int64
		if err := s.inTenant(ctx, func(tx pgx.Tx) (err error) {
			if r, err = lockLeasedReindex(ctx, tx, work); err != nil {
				return err
			}
			missed, err = readMissedPublications(ctx, tx, r.collection, r.targetSpace())
			return err
		}); err != nil {
			return err
		}
		target := r.targetSpace()
		found, err := s.countMissing(ctx, r.collection, target)
		switch {
		case err != nil:
			return err
		case found.documents > 0:
			return errSpaceIncomplete(found.documents, target)
		}
		err = s.inTenant(ctx, func(tx pgx.Tx) error {
			r, err := lockLeasedReindex(ctx, tx, work)
			if err != nil {
				return err
			}
			if err := activateSpace(ctx, tx, r, target, missed, keep); err != nil {
				return err
			}
			r.Progress = progress
			r.Progress.AddLeftOut(found.failed.LeftOutCount, found.failed.LeftOut...)
			return finishActivation(ctx, tx, r)
		})
		if !errors.Is(err, errPublishedMeanwhile) {
			return err
		}
		if try == activationTries {
			return fault.New(fault.Conflict, "documents go on being published without space %d", target)
		}
	}
}

func errSpaceIncomplete(missing, space int64) error {
	return fault.New(fault.Conflict, "%d documents are not whole in space %d", missing, space)
}

// finishActivation ends a reindex whose space is live by now.
func finishActivation(ctx context.Context, tx pgx.Tx, r lockedReindex) error {
	stage := document.StageDone
	if r.Stage == document.StageReverting {
		stage = document.StageReverted
	}
	return endReindex(ctx, tx, r, document.JobSucceeded, stage, "")
}

// readMissedPublications returns how often a version became live without a space that is
// written. It waits for those that may not know yet that it is written: whatever
// it does not count is live when it returns.
func readMissedPublications(ctx context.Context, tx pgx.Tx, collection uuid.UUID, space int64) (missed int64, err error) {
	if _, err := tx.Exec(ctx, lockPublishingExclusive, collection); err != nil {
		return 0, err
	}
	err = tx.QueryRow(ctx, `SELECT missed_publications FROM spaces WHERE id = $1`, space).Scan(&missed)
	return missed, err
}

// activateSpace makes a space the collection's live one, or fails with errMissed when a
// version became live without it since missed was read. The space that was live is
// dropped after keep, and goes on being written until then, so that one can go
// back to it at once, unless this was the way back already.
//
// The lock that publishing shares comes last: what is done under it does not grow
// with the collection.
func activateSpace(ctx context.Context, tx pgx.Tx, r lockedReindex, target, missed int64, keep time.Duration) error {
	if target == r.activeSpace {
		return nil
	}
	if _, err := tx.Exec(ctx, setLeftOutStates, r.collection, r.activeSpace, target); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, lockPublishingExclusive, r.collection); err != nil {
		return err
	}
	var now int64
	if err := tx.QueryRow(ctx, `SELECT missed_publications FROM spaces WHERE id = $1 FOR NO KEY UPDATE`, target).Scan(&now); err != nil {
		return err
	}
	if now != missed {
		return errPublishedMeanwhile
	}
	var batch pgx.Batch
	batch.Queue(`UPDATE collections SET active_space = $2 WHERE id = $1`, r.collection, target)
	batch.Queue(`UPDATE spaces SET written = true, drop_after = NULL WHERE id = $1`, target)
	batch.Queue(scheduleSpaceDrop, r.activeSpace, r.Stage != document.StageReverting, keep)
	return tx.SendBatch(ctx, &batch).Close()
}

// setLeftOutStates has documents of collection $1 whose live version is left out of
// space $3 be failed, and those ready that were failed because it is left out of
// space $2.
const setLeftOutStates = `
	WITH due AS (
		SELECT d.id, CASE WHEN EXISTS (SELECT FROM space_versions p
		                               WHERE p.document = d.id AND p.version = d.published_version AND p.space = $3 AND p.left_out IS NOT NULL)
		                  THEN 'failed' ELSE 'ready' END AS state
		FROM documents d
		WHERE d.id IN (SELECT p.document FROM space_versions p WHERE p.space IN ($2, $3) AND p.left_out IS NOT NULL)
		  AND d.collection = $1 AND d.deleted_at IS NULL AND d.published_version IS NOT NULL
		ORDER BY d.id
		FOR NO KEY UPDATE OF d
	)
	UPDATE documents d SET state = due.state, updated_at = now()
	FROM due
	WHERE d.id = due.id AND d.state <> due.state`
