package sqlite

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
)

// Switch makes the space that the reindex built the live one, and ends the
// reindex. Nothing is published beside it: writers take turns.
func (s *Store) Switch(ctx context.Context, work document.Work, keep time.Duration, progress document.ReindexProgress) (err error) {
	defer describe(&err, "switch to space %d", work.Space.ID)
	return s.write(ctx, func(tx transaction) error {
		r, err := heldReindex(ctx, tx, work)
		if err != nil {
			return err
		}
		if r.Change == document.ChangeNothing {
			return changesNothing(r)
		}
		if err := checkPlaced(ctx, tx, r); err != nil {
			return err
		}
		if err := leaveOutFailed(ctx, tx, r, &progress); err != nil {
			return err
		}
		if err := saveReindex(ctx, tx, r.ID, progress); err != nil {
			return err
		}
		if r.Stage == document.StageReverting {
			return revert(ctx, tx, r, keep)
		}
		if err := setLive(ctx, tx, r, true, keep); err != nil {
			return err
		}
		return endReindex(ctx, tx, r.ID, document.Succeeded, document.StageDone, "")
	})
}

// checkPlaced returns fault.Conflict unless every live document is whole in the
// space that the reindex builds.
func checkPlaced(ctx context.Context, tx transaction, r reindex) error {
	missing, _, err := countUnplaced(ctx, tx, r.collection, r.building())
	if err == nil && missing > 0 {
		err = fault.New(fault.Conflict, "%d documents are not whole in the new space yet", missing)
	}
	return err
}

// setLive has the space that the reindex built answer searches. The one that
// did is left: written to, or not.
func setLive(ctx context.Context, tx transaction, r reindex, written bool, keep time.Duration) error {
	if err := leaveSpace(ctx, tx, r.live, written, keep); err != nil {
		return err
	}
	if err := writeSpace(ctx, tx, r.building()); err != nil {
		return err
	}
	if err := setLiveSpace(ctx, tx, r.collection, r.building()); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `
		UPDATE documents SET state = iif(pl.left_out IS NULL, 'ready', 'failed'), updated_at = ?4
		FROM placements pl
		WHERE documents.tenant = ?1 AND documents.collection = ?2 AND documents.deleted_at IS NULL
		  AND pl.tenant = documents.tenant AND pl.document = documents.id AND pl.version = documents.live_version AND pl.space = ?3
		  AND documents.state = iif(pl.left_out IS NULL, 'failed', 'ready')`,
		tx.tenant, r.collection, r.building(), tx.now)
	return err
}

// leaveOutFailed adds to those that are left out the documents of which what was
// uploaded last came to nothing: they were not redone.
func leaveOutFailed(ctx context.Context, tx transaction, r reindex, progress *document.ReindexProgress) error {
	documents, err := documentList(r.Documents)
	if err != nil {
		return err
	}
	var count int64
	rows, err := tx.QueryContext(ctx, `
		SELECT d.id, d.key, t.error, count(*) OVER ()
		FROM documents d
		JOIN tasks t ON t.tenant = d.tenant AND t.document = d.id AND t.version = d.newest_version AND t.kind = 'knowledge' AND t.state = 'failed'
		WHERE d.tenant = ?1 AND d.collection = ?2 AND d.deleted_at IS NULL
		  AND substr(d.key, 1, length(?3)) = ?3
		  AND (json_array_length(?4) = 0 OR d.id IN (SELECT value FROM json_each(?4)))
		  AND d.live_version IS NOT d.newest_version
		ORDER BY d.id
		LIMIT ?5`, tx.tenant, r.collection, r.KeyPrefix, documents, document.MaxLeftOut)
	failed, err := collect(rows, err, func(row scanner) (l document.LeftOut, err error) {
		return l, row.Scan(&l.Document, &l.Key, &l.Error, &count)
	})
	if err == nil {
		progress.LeaveOut(count, failed...)
	}
	return err
}

// RevertReindex switches back to the space that was live before, or has the
// reindex complete that one first.
func (s *Store) RevertReindex(ctx context.Context, id uuid.UUID, keep time.Duration) (_ document.Reindex, err error) {
	defer describe(&err, "revert reindex %s", id)
	return s.steerReindex(ctx, id, func(tx transaction, r reindex) error {
		switch {
		case r.Change == document.ChangeNothing:
			return fault.New(fault.Conflict, "reindex %s changed no space: there is nothing to revert to", id)
		case r.Stage == document.StageReverted:
			return fault.New(fault.Conflict, "reindex %s was reverted already", id)
		case r.State != document.Succeeded:
			return fault.New(fault.Conflict, "reindex %s has not succeeded, it is %s: there is nothing to revert", id, r.State)
		}
		if err := checkRevertible(ctx, tx, r); err != nil {
			return err
		}
		if err := noneActive(ctx, tx, r.collection); err != nil {
			return err
		}
		r.Stage, r.reached = document.StageReverting, uuid.Nil
		switch err := checkPlaced(ctx, tx, r); {
		case err == nil:
			return revert(ctx, tx, r, keep)
		case !fault.Is(err, fault.Conflict):
			return err
		}
		if err := writeSpace(ctx, tx, r.from); err != nil {
			return err
		}
		if err := saveReindex(ctx, tx, id, document.ReindexProgress{}); err != nil {
			return err
		}
		return queueReindex(ctx, tx, r)
	})
}

// checkRevertible returns fault.Conflict unless what the reindex built answers
// searches, and the space from before is still kept.
func checkRevertible(ctx context.Context, tx transaction, r reindex) error {
	if r.live != r.to {
		return fault.New(fault.Conflict, "what reindex %s built does not answer searches any more: another space does", r.ID)
	}
	kept, err := isKept(ctx, tx, r.from)
	if err == nil && !kept {
		err = fault.New(fault.Conflict, "the space from before reindex %s is not kept any more: to have it again, begin a reindex with its model and chunking", r.ID)
	}
	return err
}

// revert ends a reindex in the stage reverting with the space from before.
func revert(ctx context.Context, tx transaction, r reindex, keep time.Duration) error {
	if err := setLive(ctx, tx, r, false, keep); err != nil {
		return err
	}
	return endReindex(ctx, tx, r.ID, document.Succeeded, document.StageReverted, "")
}
