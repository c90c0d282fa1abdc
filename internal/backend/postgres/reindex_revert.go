package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/lifecycle"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// RevertReindex switches back to the space that was active before, or queues the reindex
// to complete that space first. It counts what is missing as ActivateSpace does.
func (s *Store) RevertReindex(ctx context.Context, id uuid.UUID, keep time.Duration) (reverted document.Reindex, err error) {
	defer wrapError(&err, "revert reindex %s", id)
	var started lifecycle.Reindex
	if _, err := s.updateReindex(ctx, id, func(r lifecycle.Reindex, now time.Time) (_ lifecycle.Reindex, err error) {
		started, err = r.StartRevert(now)
		return started, err
	}); err != nil {
		return document.Reindex{}, err
	}
	collection, space := started.Collection.ID, started.From
	for range activationTries {
		var missed int64
		if err := s.inTenant(ctx, func(tx pgx.Tx) (err error) {
			missed, err = readMissedPublications(ctx, tx, collection, space)
			return err
		}); err != nil && !isNoRows(err) { // another transaction may drop the space
			return document.Reindex{}, err
		}
		found, err := s.countMissing(ctx, collection, space)
		if err != nil {
			return document.Reindex{}, err
		}
		if found.documents > 0 {
			break
		}
		err = s.inTenant(ctx, func(tx pgx.Tx) error {
			r, err := lockReindex(ctx, tx, id)
			if err != nil {
				return err
			}
			is, err := r.state.RevertNow(keep, r.now)
			if err != nil {
				return err
			}
			if err := s.switchSpace(ctx, tx, r, is, missed); err != nil {
				return err
			}
			reverted, err = readReindex(ctx, tx, id)
			return err
		})
		if !errors.Is(err, errPublishedMeanwhile) {
			return reverted, err
		}
	}
	return s.updateReindex(ctx, id, lifecycle.Reindex.RevertLater)
}
