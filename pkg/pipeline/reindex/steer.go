package reindex

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Pause stops a reindex until it is resumed. A worker that is at it finds out
// within two seconds; nothing that it writes until then is stored.
func (d *Desk) Pause(ctx context.Context, id uuid.UUID) (document.Reindex, error) {
	return d.steer(ctx, id, d.Store.PauseReindex)
}

// Resume has a paused or failed reindex go on where it was.
func (d *Desk) Resume(ctx context.Context, id uuid.UUID) (document.Reindex, error) {
	return d.steer(ctx, id, d.Store.ResumeReindex)
}

// Cancel ends a reindex. What it has bought is kept for a while.
func (d *Desk) Cancel(ctx context.Context, id uuid.UUID) (document.Reindex, error) {
	return d.steer(ctx, id, d.keeping(d.Store.CancelReindex))
}

// Revert switches back to the space that was live before, at once if it is
// whole, or else as soon as it is.
func (d *Desk) Revert(ctx context.Context, id uuid.UUID) (document.Reindex, error) {
	return d.steer(ctx, id, d.keeping(d.Store.RevertReindex))
}

// keeping has the space that is left kept for the soak time.
func (d *Desk) keeping(change func(context.Context, uuid.UUID, time.Duration) (document.Reindex, error)) func(context.Context, uuid.UUID) (document.Reindex, error) {
	return func(ctx context.Context, id uuid.UUID) (document.Reindex, error) { return change(ctx, id, d.Soak) }
}

// steer changes the reindex and has everybody know: who watches it, and the
// dispatcher, which has it to put into the queue or room for another there.
func (d *Desk) steer(ctx context.Context, id uuid.UUID, change func(context.Context, uuid.UUID) (document.Reindex, error)) (document.Reindex, error) {
	reindex, err := change(ctx, id)
	if err != nil {
		return document.Reindex{}, err
	}
	d.Live.Changed(ctx, id)
	d.Dispatcher.Dispatch(ctx)
	return reindex, nil
}
