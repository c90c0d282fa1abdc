package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// RevertReindex switches back to the space that was live before, or has the
// reindex complete that one first. It counts what is missing as Switch does.
func (s *Store) RevertReindex(ctx context.Context, id uuid.UUID, keep time.Duration) (reverted document.Reindex, err error) {
	defer wrapError(&err, "revert reindex %s", id)
	var r reindex
	if _, err := s.updateReindex(ctx, id, func(tx transaction, found reindex) (err error) {
		if r, err = prepareRevert(ctx, tx, found); err != nil {
			return err
		}
		// What is published meanwhile without it is not counted otherwise.
		_, err = tx.ExecContext(ctx, `
			UPDATE spaces SET written = true WHERE tenant = ?1 AND id = ?2 AND NOT written`, tx.tenant, r.fromSpace)
		return err
	}); err != nil {
		return document.Reindex{}, err
	}
	for range activationTries {
		var missed int64
		err := s.inReadTransaction(ctx, func(tx transaction) (err error) {
			if missed, err = readMissedPublications(ctx, tx, r.fromSpace); err != nil && !errors.Is(err, sql.ErrNoRows) { // it may be dropped meanwhile
				return err
			}
			return checkSpaceComplete(ctx, tx, r)
		})
		if fault.Is(err, fault.Conflict) {
			break
		}
		if err != nil {
			return document.Reindex{}, err
		}
		reverted, err := s.updateReindex(ctx, id, func(tx transaction, r reindex) (err error) {
			if r, err = prepareRevert(ctx, tx, r); err != nil {
				return err
			}
			return finishRevert(ctx, tx, r, missed, keep)
		})
		if !errors.Is(err, errPublishedMeanwhile) {
			return reverted, err
		}
	}
	return s.updateReindex(ctx, id, func(tx transaction, r reindex) (err error) {
		if r, err = prepareRevert(ctx, tx, r); err != nil {
			return err
		}
		if err := keepSpaceComplete(ctx, tx, r.fromSpace); err != nil {
			return err
		}
		if err := saveReindexProgress(ctx, tx, id, document.ReindexProgress{}); err != nil {
			return err
		}
		return restartReindex(ctx, tx, r)
	})
}

// prepareRevert returns a reindex in the stage reverting, or fault.Conflict when there is
// nothing to revert to.
func prepareRevert(ctx context.Context, tx transaction, r reindex) (reindex, error) {
	switch {
	case r.Change == document.ChangeNothing:
		return r, fault.New(fault.Conflict, "reindex %s changed no space: there is nothing to revert to", r.ID)
	case r.Stage == document.StageReverted:
		return r, fault.New(fault.Conflict, "reindex %s was reverted already", r.ID)
	case r.State != document.JobSucceeded:
		return r, fault.New(fault.Conflict, "reindex %s has not succeeded, it is %s: there is nothing to revert", r.ID, r.State)
	}
	if err := checkFormerSpace(ctx, tx, r); err != nil {
		return r, err
	}
	if err := checkNoActiveReindex(ctx, tx, r.collection); err != nil {
		return r, err
	}
	r.Stage, r.checkpoint = document.StageReverting, uuid.Nil
	return r, nil
}

// checkFormerSpace returns fault.Conflict unless what the reindex built answers
// searches, and the space from before is still kept.
func checkFormerSpace(ctx context.Context, tx transaction, r reindex) error {
	if r.activeSpace != r.toSpace {
		return fault.New(fault.Conflict, "what reindex %s built does not answer searches any more: another space does", r.ID)
	}
	kept, err := isSpaceKept(ctx, tx, r.fromSpace)
	if err == nil && !kept {
		err = fault.New(fault.Conflict, "the space from before reindex %s is not kept any more: to have it again, begin a reindex with its model and chunking", r.ID)
	}
	return err
}

// finishRevert ends a reindex in the stage reverting with the space from before.
func finishRevert(ctx context.Context, tx transaction, r reindex, missed int64, keep time.Duration) error {
	if err := activateSpace(ctx, tx, r, missed, false, keep); err != nil {
		return err
	}
	return endReindex(ctx, tx, r.ID, document.JobSucceeded, document.StageReverted, "")
}
