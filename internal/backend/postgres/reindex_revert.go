package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// RevertReindex switches back to the space that was live before, or has the
// reindex complete that first. It counts what is missing as Switch does.
func (s *Store) RevertReindex(ctx context.Context, id uuid.UUID, keep time.Duration) (reverted document.Reindex, err error) {
	defer wrapError(&err, "revert reindex %s", id)
	var r lockedReindex
	if _, err := s.updateReindex(ctx, id, func(tx pgx.Tx, found lockedReindex) error {
		r = found
		if err := checkRevertible(ctx, tx, r); err != nil {
			return err
		}
		// What is published meanwhile without it is not counted otherwise.
		_, err := tx.Exec(ctx, `UPDATE spaces SET written = true WHERE id = $1 AND NOT written`, r.fromSpace)
		return err
	}); err != nil {
		return document.Reindex{}, err
	}
	for range activationTries {
		var missed int64
		if err := s.inTenant(ctx, func(tx pgx.Tx) (err error) {
			missed, err = readMissedPublications(ctx, tx, r.collection, r.fromSpace)
			return err
		}); err != nil && !isNoRows(err) { // it may be dropped meanwhile
			return document.Reindex{}, err
		}
		found, err := s.countMissing(ctx, r.collection, r.fromSpace)
		if err != nil {
			return document.Reindex{}, err
		}
		if found.documents > 0 {
			break
		}
		reverted, err = s.updateReindex(ctx, id, func(tx pgx.Tx, r lockedReindex) error {
			if err := checkRevertible(ctx, tx, r); err != nil {
				return err
			}
			r.Stage = document.StageReverting
			if err := activateSpace(ctx, tx, r, r.fromSpace, missed, keep); err != nil {
				return err
			}
			return finishActivation(ctx, tx, r)
		})
		if !errors.Is(err, errPublishedMeanwhile) {
			return reverted, err
		}
	}
	return s.updateReindex(ctx, id, func(tx pgx.Tx, r lockedReindex) error {
		if err := checkRevertible(ctx, tx, r); err != nil {
			return err
		}
		r.Stage = document.StageReverting
		if _, err := keepSpaceComplete(ctx, tx, r.fromSpace); err != nil {
			return err
		}
		return restartReindex(ctx, tx, r, true)
	})
}

// checkRevertible fails unless one can go back from what a reindex has built to
// what was live before.
func checkRevertible(ctx context.Context, tx pgx.Tx, r lockedReindex) error {
	refuse := func(why string) error {
		return fault.New(fault.Conflict, "there is nothing to revert to: reindex %s %s", r.ID, why)
	}
	switch {
	case r.Change == document.ChangeNothing || r.fromSpace == r.toSpace:
		return refuse("has not changed the space")
	case r.Stage == document.StageReverted:
		return refuse("was reverted already")
	case r.Stage == document.StageReverting:
		return refuse("is being reverted already")
	case r.State != document.JobSucceeded:
		return refuse("has not succeeded")
	case r.activeSpace != r.toSpace:
		return refuse("built a space that is no longer the live one")
	}
	if err := checkNoActiveReindex(ctx, tx, r.collection, r.ID); err != nil {
		return err
	}
	var kept bool
	if err := tx.QueryRow(ctx, `
		SELECT EXISTS (SELECT FROM spaces WHERE id = $1 AND (drop_after IS NULL OR drop_after > clock_timestamp()))`, r.fromSpace).Scan(&kept); err != nil {
		return err
	}
	if !kept {
		return refuse("left a space that is no longer kept")
	}
	return nil
}
