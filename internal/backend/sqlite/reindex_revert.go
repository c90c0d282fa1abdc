package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/lifecycle"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// RevertReindex switches back to the space that was live before, or has the
// reindex complete that one first. It counts what is missing as Switch does.
func (s *Store) RevertReindex(ctx context.Context, id uuid.UUID, keep time.Duration) (reverted document.Reindex, err error) {
	defer wrapError(&err, "revert reindex %s", id)
	var from lifecycle.Reindex
	if _, err := s.updateReindex(ctx, id, func(r lifecycle.Reindex, now time.Time) (_ lifecycle.Reindex, err error) {
		from, err = r.StartRevert(now)
		return from, err
	}); err != nil {
		return document.Reindex{}, err
	}
	for range activationTries {
		var missed int64
		err := s.inReadTransaction(ctx, func(tx transaction) (err error) {
			if missed, err = readMissedPublications(ctx, tx, from.From); err != nil && !errors.Is(err, sql.ErrNoRows) { // it may be dropped meanwhile
				return err
			}
			return checkSpaceComplete(ctx, tx, from.Collection.ID, from.From)
		})
		if fault.Is(err, fault.Conflict) {
			break
		}
		if err != nil {
			return document.Reindex{}, err
		}
		err = s.inWriteTransaction(ctx, func(tx transaction) error {
			if err := switchSpace(ctx, tx, id, from.From, missed, func(r lifecycle.Reindex) (lifecycle.Reindex, error) {
				return r.RevertNow(keep, tx.now.time())
			}); err != nil {
				return err
			}
			r, err := loadReindex(ctx, tx, id)
			reverted = r.Reindex
			return err
		})
		if !errors.Is(err, errPublishedMeanwhile) {
			return reverted, err
		}
	}
	return s.updateReindex(ctx, id, lifecycle.Reindex.RevertLater)
}
