package reindex

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Pause stops a reindex until it is resumed. A worker that is at it finds out
// within two seconds; nothing that it writes until then is stored.
func (d *Service) Pause(ctx context.Context, id uuid.UUID) (document.Reindex, error) {
	return d.changeReindex(ctx, id, d.Store.PauseReindex)
}

// Resume has a paused or failed reindex go on where it was.
func (d *Service) Resume(ctx context.Context, id uuid.UUID) (document.Reindex, error) {
	return d.changeReindex(ctx, id, d.Store.ResumeReindex)
}

// Cancel ends a reindex. What it has bought is kept for a while.
func (d *Service) Cancel(ctx context.Context, id uuid.UUID) (document.Reindex, error) {
	return d.changeReindex(ctx, id, d.withSoak(d.Store.CancelReindex))
}

// Revert switches back to the space that was live before, at once if it is
// whole, or else as soon as it is.
func (d *Service) Revert(ctx context.Context, id uuid.UUID) (document.Reindex, error) {
	return d.changeReindex(ctx, id, d.withSoak(d.Store.RevertReindex))
}

// withSoak has the space that is left kept for the soak time.
func (d *Service) withSoak(change func(context.Context, uuid.UUID, time.Duration) (document.Reindex, error)) func(context.Context, uuid.UUID) (document.Reindex, error) {
	return func(ctx context.Context, id uuid.UUID) (document.Reindex, error) { return change(ctx, id, d.Soak) }
}

// changeReindex changes the reindex and has everybody know: who watches it, and the
// dispatcher, which has it to put into the queue or room for another there.
func (d *Service) changeReindex(ctx context.Context, id uuid.UUID, change func(context.Context, uuid.UUID) (document.Reindex, error)) (document.Reindex, error) {
	reindex, err := change(ctx, id)
	if err != nil {
		return document.Reindex{}, err
	}
	d.Changes.NotifyChange(ctx, id)
	d.Dispatcher.Dispatch(ctx)
	return reindex, nil
}
