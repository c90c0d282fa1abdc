package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/lifecycle"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// PauseReindex ends the lease and stops writes to the space.
func (s *Store) PauseReindex(ctx context.Context, id uuid.UUID) (_ document.Reindex, err error) {
	defer wrapError(&err, "pause reindex %s", id)
	return s.updateReindex(ctx, id, func(r lifecycle.Reindex, _ time.Time) (lifecycle.Reindex, error) { return r.Pause() })
}

// ResumeReindex gives a paused or failed reindex a fresh start.
func (s *Store) ResumeReindex(ctx context.Context, id uuid.UUID) (_ document.Reindex, err error) {
	defer wrapError(&err, "resume reindex %s", id)
	return s.updateReindex(ctx, id, lifecycle.Reindex.Resume)
}

// CancelReindex ends the reindex and leaves the space that it was building.
func (s *Store) CancelReindex(ctx context.Context, id uuid.UUID, keep time.Duration) (_ document.Reindex, err error) {
	defer wrapError(&err, "cancel reindex %s", id)
	return s.updateReindex(ctx, id, func(r lifecycle.Reindex, now time.Time) (lifecycle.Reindex, error) { return r.Cancel(keep, now) })
}

// updateReindex saves the next state of a reindex, and returns it as it is then.
func (s *Store) updateReindex(ctx context.Context, id uuid.UUID, event func(lifecycle.Reindex, time.Time) (lifecycle.Reindex, error)) (updated document.Reindex, err error) {
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		r, err := lockReindex(ctx, tx, id)
		if err != nil {
			return err
		}
		is, err := event(r.state, r.now)
		if err != nil {
			return err
		}
		if err := s.saveReindex(ctx, tx, r, is); err != nil {
			return err
		}
		updated, err = readReindex(ctx, tx, id)
		return err
	})
	return updated, err
}
