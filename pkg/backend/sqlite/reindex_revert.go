package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
)

// RevertReindex switches back to the space that was live before, or has the
// reindex complete that one first. It counts what is missing as Switch does.
func (s *Store) RevertReindex(ctx context.Context, id uuid.UUID, keep time.Duration) (reverted document.Reindex, err error) {
	defer describe(&err, "revert reindex %s", id)
	var r reindex
	if _, err := s.steerReindex(ctx, id, func(tx transaction, found reindex) (err error) {
		if r, err = toRevert(ctx, tx, found); err != nil {
			return err
		}
		// What is published meanwhile without it is not counted otherwise.
		_, err = tx.ExecContext(ctx, `
			UPDATE spaces SET written = true WHERE tenant = ?1 AND id = ?2 AND NOT written`, tx.tenant, r.from)
		return err
	}); err != nil {
		return document.Reindex{}, err
	}
	for range switchTries {
		var missed int64
		err := s.read(ctx, func(tx transaction) (err error) {
			if missed, err = readMissed(ctx, tx, r.from); err != nil && !errors.Is(err, sql.ErrNoRows) { // it may be dropped meanwhile
				return err
			}
			return checkPlaced(ctx, tx, r)
		})
		if fault.Is(err, fault.Conflict) {
			break
		}
		if err != nil {
			return document.Reindex{}, err
		}
		reverted, err := s.steerReindex(ctx, id, func(tx transaction, r reindex) (err error) {
			if r, err = toRevert(ctx, tx, r); err != nil {
				return err
			}
			return revert(ctx, tx, r, missed, keep)
		})
		if !errors.Is(err, errMissed) {
			return reverted, err
		}
	}
	return s.steerReindex(ctx, id, func(tx transaction, r reindex) (err error) {
		if r, err = toRevert(ctx, tx, r); err != nil {
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

// toRevert returns a reindex in the stage reverting, or fault.Conflict when there is
// nothing to revert to.
func toRevert(ctx context.Context, tx transaction, r reindex) (reindex, error) {
	switch {
	case r.Change == document.ChangeNothing:
		return r, fault.New(fault.Conflict, "reindex %s changed no space: there is nothing to revert to", r.ID)
	case r.Stage == document.StageReverted:
		return r, fault.New(fault.Conflict, "reindex %s was reverted already", r.ID)
	case r.State != document.Succeeded:
		return r, fault.New(fault.Conflict, "reindex %s has not succeeded, it is %s: there is nothing to revert", r.ID, r.State)
	}
	if err := checkRevertible(ctx, tx, r); err != nil {
		return r, err
	}
	if err := noneActive(ctx, tx, r.collection); err != nil {
		return r, err
	}
	r.Stage, r.reached = document.StageReverting, uuid.Nil
	return r, nil
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
func revert(ctx context.Context, tx transaction, r reindex, missed int64, keep time.Duration) error {
	if err := setLive(ctx, tx, r, missed, false, keep); err != nil {
		return err
	}
	return endReindex(ctx, tx, r.ID, document.Succeeded, document.StageReverted, "")
}
