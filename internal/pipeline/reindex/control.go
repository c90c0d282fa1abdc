package reindex

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Pause stops a reindex until it is resumed. The worker that runs it notices within two seconds; the
// store refuses what it writes until then.
func (s *Service) Pause(ctx context.Context, id uuid.UUID) (document.Reindex, error) {
	return s.changeReindex(ctx, id, s.Store.PauseReindex)
}

// Resume continues a paused or failed reindex where it stopped.
func (s *Service) Resume(ctx context.Context, id uuid.UUID) (document.Reindex, error) {
	return s.changeReindex(ctx, id, s.Store.ResumeReindex)
}

// Cancel ends a reindex. The passages that it has embedded are kept for a while.
func (s *Service) Cancel(ctx context.Context, id uuid.UUID) (document.Reindex, error) {
	return s.changeReindex(ctx, id, s.withSoak(s.Store.CancelReindex))
}

// Revert switches back to the space that was active before: immediately if it is complete, and
// otherwise as soon as it is.
func (s *Service) Revert(ctx context.Context, id uuid.UUID) (document.Reindex, error) {
	return s.changeReindex(ctx, id, s.withSoak(s.Store.RevertReindex))
}

// withSoak passes the soak time to a change: the space that searches leave is kept for that long.
func (s *Service) withSoak(change func(context.Context, uuid.UUID, time.Duration) (document.Reindex, error)) func(context.Context, uuid.UUID) (document.Reindex, error) {
	return func(ctx context.Context, id uuid.UUID) (document.Reindex, error) { return change(ctx, id, s.Soak) }
}

// changeReindex changes the reindex, then notifies those who watch it, and the dispatcher: the reindex
// may have to be queued, or may have made room in the queue.
func (s *Service) changeReindex(ctx context.Context, id uuid.UUID, change func(context.Context, uuid.UUID) (document.Reindex, error)) (document.Reindex, error) {
	reindex, err := change(ctx, id)
	if err != nil {
		return document.Reindex{}, err
	}
	s.Changes.NotifyChange(ctx, id)
	s.Dispatcher.Dispatch(ctx)
	return reindex, nil
}
