package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
)

// Publishing a version holds a shared lock on the collection's live space, and
// making another space live an exclusive one: every version that became live
// without that space is seen by then in spaces.missed.
const (
	sharePublishing = `SELECT pg_advisory_xact_lock_shared(hashtextextended('space/' || $1::uuid, 0))`
	lockPublishing  = `SELECT pg_advisory_xact_lock(hashtextextended('space/' || $1::uuid, 0))`
)

// switchTries is how often documents are counted before a switch is given up
// because others go on being published without the space.
const switchTries = 3

// errMissed is the failure of a switch because a version has become live without
// the space since documents were counted.
var errMissed = errors.New("a document was published without the space")

// Switch makes the space that a reindex has built the live one, and ends the
// reindex. It counts without a lock what is missing: the lock is held only to see
// that nothing has come to be missing since.
func (s *Store) Switch(ctx context.Context, work document.Work, keep time.Duration, progress document.ReindexProgress) (err error) {
	defer describe(&err, "switch collection %q to space %d", work.Collection, work.Space.ID)
	for try := 1; ; try++ {
		var r reindex
		var missed int64
		if err := s.inTenant(ctx, func(tx pgx.Tx) (err error) {
			if r, err = lockOwnReindex(ctx, tx, work); err != nil {
				return err
			}
			missed, err = readMissed(ctx, tx, r.collection, r.target())
			return err
		}); err != nil {
			return err
		}
		target := r.target()
		found, err := s.countMissing(ctx, r.collection, target)
		switch {
		case err != nil:
			return err
		case found.documents > 0:
			return notWhole(found.documents, target)
		}
		err = s.inTenant(ctx, func(tx pgx.Tx) error {
			r, err := lockOwnReindex(ctx, tx, work)
			if err != nil {
				return err
			}
			if err := makeLive(ctx, tx, r, target, missed, keep); err != nil {
				return err
			}
			r.Progress = progress
			r.Progress.LeaveOut(found.failed.LeftOutCount, found.failed.LeftOut...)
			return finishSwitch(ctx, tx, r)
		})
		if !errors.Is(err, errMissed) {
			return err
		}
		if try == switchTries {
			return fault.New(fault.Conflict, "documents go on being published without space %d", target)
		}
	}
}

func notWhole(missing, space int64) error {
	return fault.New(fault.Conflict, "%d documents are not whole in space %d", missing, space)
}

// finishSwitch ends a reindex whose space is live by now.
func finishSwitch(ctx context.Context, tx pgx.Tx, r reindex) error {
	stage := document.StageDone
	if r.Stage == document.StageReverting {
		stage = document.StageReverted
	}
	return endReindex(ctx, tx, r, document.Succeeded, stage, "")
}

// readMissed returns how often a version became live without a space that is
// written. It waits for those that may not know yet that it is written: whatever
// it does not count is live when it returns.
func readMissed(ctx context.Context, tx pgx.Tx, collection uuid.UUID, space int64) (missed int64, err error) {
	if _, err := tx.Exec(ctx, lockPublishing, collection); err != nil {
		return 0, err
	}
	err = tx.QueryRow(ctx, `SELECT missed FROM spaces WHERE id = $1`, space).Scan(&missed)
	return missed, err
}

// makeLive makes a space the collection's live one, or fails with errMissed when a
// version became live without it since missed was read. The space that was live is
// dropped after keep, and goes on being written until then, so that one can go
// back to it at once, unless this was the way back already.
//
// The lock that publishing shares comes last: what is done under it does not grow
// with the collection.
func makeLive(ctx context.Context, tx pgx.Tx, r reindex, target, missed int64, keep time.Duration) error {
	if target == r.live {
		return nil
	}
	if _, err := tx.Exec(ctx, setLeftOutStates, r.collection, r.live, target); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, lockPublishing, r.collection); err != nil {
		return err
	}
	var now int64
	if err := tx.QueryRow(ctx, `SELECT missed FROM spaces WHERE id = $1 FOR NO KEY UPDATE`, target).Scan(&now); err != nil {
		return err
	}
	if now != missed {
		return errMissed
	}
	var batch pgx.Batch
	batch.Queue(`UPDATE collections SET live_space = $2 WHERE id = $1`, r.collection, target)
	batch.Queue(`UPDATE spaces SET written = true, drop_after = NULL WHERE id = $1`, target)
	batch.Queue(leaveSpace, r.live, r.Stage != document.StageReverting, keep)
	return tx.SendBatch(ctx, &batch).Close()
}

// setLeftOutStates has documents of collection $1 whose live version is left out of
// space $3 be failed, and those ready that were failed because it is left out of
// space $2.
const setLeftOutStates = `
	WITH due AS (
		SELECT d.id, CASE WHEN EXISTS (SELECT FROM placements p
		                               WHERE p.document = d.id AND p.version = d.live_version AND p.space = $3 AND p.left_out IS NOT NULL)
		                  THEN 'failed' ELSE 'ready' END AS state
		FROM documents d
		WHERE d.id IN (SELECT p.document FROM placements p WHERE p.space IN ($2, $3) AND p.left_out IS NOT NULL)
		  AND d.collection = $1 AND d.deleted_at IS NULL AND d.live_version IS NOT NULL
		ORDER BY d.id
		FOR NO KEY UPDATE OF d
	)
	UPDATE documents d SET state = due.state, updated_at = now()
	FROM due
	WHERE d.id = due.id AND d.state <> due.state`
