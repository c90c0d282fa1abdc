package sqlite

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/lifecycle"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// PauseReindex ends the lease, and has nothing more be written to the space.
func (s *Store) PauseReindex(ctx context.Context, id uuid.UUID) (_ document.Reindex, err error) {
	defer wrapError(&err, "pause reindex %s", id)
	return s.updateReindex(ctx, id, func(r lifecycle.Reindex, _ time.Time) (lifecycle.Reindex, error) { return r.Pause() })
}

// ResumeReindex gives a paused or failed reindex a fresh start.
func (s *Store) ResumeReindex(ctx context.Context, id uuid.UUID) (_ document.Reindex, err error) {
	defer wrapError(&err, "resume reindex %s", id)
	return s.updateReindex(ctx, id, lifecycle.Reindex.Resume)
}

// CancelReindex ends the reindex, and leaves the space that it was building.
func (s *Store) CancelReindex(ctx context.Context, id uuid.UUID, keep time.Duration) (_ document.Reindex, err error) {
	defer wrapError(&err, "cancel reindex %s", id)
	return s.updateReindex(ctx, id, func(r lifecycle.Reindex, now time.Time) (lifecycle.Reindex, error) { return r.Cancel(keep, now) })
}

// updateReindex does to a reindex what a client asks for, and returns it as it
// is then.
func (s *Store) updateReindex(ctx context.Context, id uuid.UUID, event func(lifecycle.Reindex, time.Time) (lifecycle.Reindex, error)) (steered document.Reindex, err error) {
	err = s.inWriteTransaction(ctx, func(tx transaction) error {
		if err := changeReindex(ctx, tx, id, func(r lifecycle.Reindex) (lifecycle.Reindex, error) { return event(r, tx.now.time()) }); err != nil {
			return err
		}
		r, err := loadReindex(ctx, tx, id)
		steered = r.Reindex
		return err
	})
	return steered, err
}
