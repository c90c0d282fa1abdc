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

// RevertReindex switches back to the space that was live before, or has the
// reindex complete that first. It counts what is missing as Switch does.
func (s *Store) RevertReindex(ctx context.Context, id uuid.UUID, keep time.Duration) (reverted document.Reindex, err error) {
	defer describe(&err, "revert reindex %s", id)
	var r reindex
	if _, err := s.steerReindex(ctx, id, func(tx pgx.Tx, found reindex) error {
		r = found
		if err := checkRevertible(ctx, tx, r); err != nil {
			return err
		}
		// What is published meanwhile without it is not counted otherwise.
		_, err := tx.Exec(ctx, `UPDATE spaces SET written = true WHERE id = $1 AND NOT written`, r.from)
		return err
	}); err != nil {
		return document.Reindex{}, err
	}
	for range switchTries {
		var missed int64
		if err := s.inTenant(ctx, func(tx pgx.Tx) (err error) {
			missed, err = readMissed(ctx, tx, r.collection, r.from)
			return err
		}); err != nil && !isNoRows(err) { // it may be dropped meanwhile
			return document.Reindex{}, err
		}
		found, err := s.countMissing(ctx, r.collection, r.from)
		if err != nil {
			return document.Reindex{}, err
		}
		if found.documents > 0 {
			break
		}
		reverted, err = s.steerReindex(ctx, id, func(tx pgx.Tx, r reindex) error {
			if err := checkRevertible(ctx, tx, r); err != nil {
				return err
			}
			r.Stage = document.StageReverting
			if err := makeLive(ctx, tx, r, r.from, missed, keep); err != nil {
				return err
			}
			return finishSwitch(ctx, tx, r)
		})
		if !errors.Is(err, errMissed) {
			return reverted, err
		}
	}
	return s.steerReindex(ctx, id, func(tx pgx.Tx, r reindex) error {
		if err := checkRevertible(ctx, tx, r); err != nil {
			return err
		}
		r.Stage = document.StageReverting
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
