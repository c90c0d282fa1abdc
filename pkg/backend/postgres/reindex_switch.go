package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
)

// Publishing a version holds a shared lock on the collection's live space, and
// making another space live an exclusive one: every version that is live is seen
// by the query that decides whether the space is complete.
const (
	sharePublishing = `SELECT pg_advisory_xact_lock_shared(hashtextextended('space/' || $1::uuid, 0))`
	lockPublishing  = `SELECT pg_advisory_xact_lock(hashtextextended('space/' || $1::uuid, 0))`
)

// Switch makes the space that a reindex has built the live one, and ends the
// reindex.
func (s *Store) Switch(ctx context.Context, work document.Work, keep time.Duration, progress document.ReindexProgress) (err error) {
	defer describe(&err, "switch collection %q to space %d", work.Collection, work.Space.ID)
	return s.inTenant(ctx, func(tx pgx.Tx) error {
		r, err := lockOwnReindex(ctx, tx, work)
		if err != nil {
			return err
		}
		missing, err := makeLive(ctx, tx, r, r.target(), keep)
		switch {
		case err != nil:
			return err
		case missing > 0:
			return notWhole(missing, r.target())
		}
		r.Progress = progress
		if err := leaveOutFailed(ctx, tx, scope{collection: r.collection, space: r.target()}, &r.Progress); err != nil {
			return err
		}
		return finishSwitch(ctx, tx, r)
	})
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

// leaveOutFailed adds to those that are left out the documents of which what was
// uploaded last came to nothing: they were not redone.
func leaveOutFailed(ctx context.Context, tx pgx.Tx, in scope, progress *document.ReindexProgress) error {
	var count int64
	failed, err := collect(ctx, tx, func(row pgx.CollectableRow) (l document.LeftOut, err error) {
		return l, row.Scan(&l.Document, &l.Key, &l.Error, &count)
	}, `
		SELECT d.id, d.key, t.error, count(*) OVER ()
		FROM documents d
		JOIN tasks t ON t.document = d.id AND t.version = d.newest_version AND t.kind = 'knowledge' AND t.state = 'failed'
		WHERE d.collection = $1 AND d.deleted_at IS NULL
		  AND ($2 = '' OR starts_with(d.key, $2))
		  AND ($3::uuid[] IS NULL OR d.id = ANY ($3))
		  AND d.live_version IS DISTINCT FROM d.newest_version
		ORDER BY d.id
		LIMIT $4`, in.collection, in.keyPrefix, in.documents, document.MaxLeftOut)
	if err == nil {
		progress.LeaveOut(count, failed...)
	}
	return err
}

// makeLive makes a space the collection's live one, unless live documents are
// missing in it, and then says how many. The space that was live is dropped
// after keep, and goes on being written until then, so that one can go back to
// it at once, unless this was the way back already.
func makeLive(ctx context.Context, tx pgx.Tx, r reindex, target int64, keep time.Duration) (missing int64, err error) {
	if _, err := tx.Exec(ctx, lockPublishing, r.collection); err != nil {
		return 0, err
	}
	if missing, _, err = countUnplaced(ctx, tx, r.collection, target); err != nil || missing > 0 || target == r.live {
		return missing, err
	}
	var batch pgx.Batch
	batch.Queue(`UPDATE collections SET live_space = $2 WHERE id = $1`, r.collection, target)
	batch.Queue(`UPDATE spaces SET written = true, drop_after = NULL WHERE id = $1`, target)
	batch.Queue(leaveSpace, r.live, r.Stage != document.StageReverting, keep)
	batch.Queue(`
		UPDATE documents d SET state = CASE WHEN p.left_out IS NULL THEN 'ready' ELSE 'failed' END, updated_at = now()
		FROM placements p
		WHERE d.collection = $1 AND d.deleted_at IS NULL
		  AND p.document = d.id AND p.version = d.live_version AND p.space = $2
		  AND d.state = CASE WHEN p.left_out IS NULL THEN 'failed' ELSE 'ready' END`, r.collection, target)
	return 0, tx.SendBatch(ctx, &batch).Close()
}

// RevertReindex switches back to the space that was live before, or has the
// reindex complete that first.
func (s *Store) RevertReindex(ctx context.Context, id uuid.UUID, keep time.Duration) (reverted document.Reindex, err error) {
	defer describe(&err, "revert reindex %s", id)
	return s.steerReindex(ctx, id, func(tx pgx.Tx, r reindex) error {
		if err := checkRevertible(ctx, tx, r); err != nil {
			return err
		}
		r.Stage = document.StageReverting
		missing, err := makeLive(ctx, tx, r, r.from, keep)
		switch {
		case err != nil:
			return err
		case missing == 0:
			return finishSwitch(ctx, tx, r)
		}
		if _, err := keepSpace(ctx, tx, r.from); err != nil {
			return err
		}
		return queueReindex(ctx, tx, r, true)
	})
}

// checkRevertible fails unless one can go back from what a reindex has built to
// what was live before.
func checkRevertible(ctx context.Context, tx pgx.Tx, r reindex) error {
	refuse := func(why string) error {
		return fault.New(fault.Conflict, "there is nothing to revert to: reindex %s %s", r.ID, why)
	}
	switch {
	case r.Change == document.ChangeNothing || r.from == r.to:
		return refuse("has not changed the space")
	case r.Stage == document.StageReverted:
		return refuse("was reverted already")
	case r.Stage == document.StageReverting:
		return refuse("is being reverted already")
	case r.State != document.Succeeded:
		return refuse("has not succeeded")
	case r.live != r.to:
		return refuse("built a space that is no longer the live one")
	}
	if err := checkNoneActive(ctx, tx, r.collection, r.ID); err != nil {
		return err
	}
	var kept bool
	if err := tx.QueryRow(ctx, `
		SELECT EXISTS (SELECT FROM spaces WHERE id = $1 AND (drop_after IS NULL OR drop_after > clock_timestamp()))`, r.from).Scan(&kept); err != nil {
		return err
	}
	if !kept {
		return refuse("left a space that is no longer kept")
	}
	return nil
}
