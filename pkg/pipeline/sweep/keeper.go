package sweep

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/goroutine"
)

// KeeperStore cares for spaces that grow; see storetest.Reindexing and Sweeping
// for the contract.
type KeeperStore interface {
	Tenants(ctx context.Context) ([]string, error)
	TenantsWithGrownSpaces(ctx context.Context) ([]string, error)
	Grown(ctx context.Context, care document.SpaceCare, threshold int) ([]document.Space, error)
	GrownAfter(ctx context.Context, care document.SpaceCare, threshold int, after int64, limit int) ([]document.Space, int64, error)
	MoveSpace(ctx context.Context, space document.Space) error
	IndexSpace(ctx context.Context, space document.Space, threshold int) error
	Exclusively(ctx context.Context, name string, fn func(ctx context.Context) error) error
}

// Keeper moves spaces that have grown to a table of their own, and gives those
// that have grown past the threshold a vector index. An index may take hours, so
// this is no part of the sweep, and moves do not wait for indexes.
type Keeper struct {
	Store     KeeperStore
	Threshold int  // passages
	Builds    bool // indexes; else spaces are only moved
	Log       *slog.Logger
}

const (
	// keepInterval is the time between two looks for spaces that have grown.
	keepInterval = 30 * time.Second

	// walkTime is how long one round walks through all spaces, and walkSpaces how
	// many of them one transaction looks at.
	walkTime   = 50 * time.Millisecond
	walkSpaces = 50
)

// Run looks at once, and then on a timer, until ctx ends. Any number of
// processes may run it; one at a time moves, and one at a time builds.
func (k *Keeper) Run(ctx context.Context) {
	group := goroutine.NewGroup()
	for _, care := range []document.SpaceCare{document.CareMove, document.CareIndex} {
		group.Go(func() error { k.run(ctx, care); return nil })
	}
	if err := group.Wait(); err != nil {
		k.Log.ErrorContext(ctx, "spaces that grow are not kept any more", "error", err)
	}
}

func (k *Keeper) run(ctx context.Context, care document.SpaceCare) {
	w := walk{Keeper: k, care: care}
	ticker := time.NewTicker(keepInterval)
	defer ticker.Stop()
	for {
		if err := goroutine.Try(func() error { return k.Store.Exclusively(ctx, string(care), w.round) }); err != nil && ctx.Err() == nil {
			k.Log.WarnContext(ctx, "not all spaces that have grown have what they need; trying again soon", "care", care, "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// walk is one care of a keeper, and how far its walk through all spaces is.
type walk struct {
	*Keeper
	care   document.SpaceCare
	tenant string // that is walked through, or was
	after  int64  // last space of it that was looked at
}

// round cares for the spaces that have grown since the last round, and walks on
// through all. A space that cannot be cared for now does not keep the others.
func (w *walk) round(ctx context.Context) error {
	tenants, err := w.Store.TenantsWithGrownSpaces(ctx)
	if err != nil {
		return fmt.Errorf("list tenants with grown spaces: %w", err)
	}
	var errs []error
	for _, id := range tenants {
		ctx := of(ctx, id)
		spaces, err := w.Store.Grown(ctx, w.care, w.Threshold)
		errs = append(errs, err, w.careFor(ctx, spaces))
	}
	return errors.Join(append(errs, w.walk(ctx))...)
}

// walk finds what is on no list: spaces of a release before, those that wanted
// nothing by another threshold, and what did not seem worth listing. It goes on
// where the last round stopped, and ends with the last space.
func (w *walk) walk(ctx context.Context) error {
	tenants, err := w.Store.Tenants(ctx)
	if err != nil {
		return fmt.Errorf("list tenants: %w", err)
	}
	var errs []error
	start := time.Now()
	first, found := slices.BinarySearch(tenants, w.tenant)
	if !found {
		w.after = 0
	}
	for _, id := range tenants[first:] {
		ctx := of(ctx, id)
		for w.tenant = id; ; {
			if ctx.Err() != nil || time.Since(start) > walkTime {
				return errors.Join(errs...)
			}
			spaces, last, err := w.Store.GrownAfter(ctx, w.care, w.Threshold, w.after, walkSpaces)
			w.after = last
			began := time.Now()
			errs = append(errs, err, w.careFor(ctx, spaces))
			start = start.Add(time.Since(began)) // care is no part of the walk
			if last == 0 {
				break
			}
		}
	}
	w.tenant = ""
	return errors.Join(errs...)
}

// careFor gives spaces what they want.
func (w *walk) careFor(ctx context.Context, spaces []document.Space) error {
	var errs []error
	for _, space := range spaces {
		switch {
		case w.care == document.CareMove:
			errs = append(errs, w.move(ctx, space))
		case w.Builds:
			errs = append(errs, w.index(ctx, space))
		}
	}
	return errors.Join(errs...)
}

// move moves a space. Writes to it go to both tables until that is done.
func (w *walk) move(ctx context.Context, space document.Space) error {
	w.Log.InfoContext(ctx, "moving a space to a table of its own", "space", space.ID)
	start := time.Now()
	if err := w.Store.MoveSpace(ctx, space); err != nil {
		return fmt.Errorf("move space %d: %w", space.ID, err)
	}
	w.Log.InfoContext(ctx, "space has a table of its own", "space", space.ID, "took", time.Since(start))
	return nil
}

// index indexes a space, or measures its index. Searches of it are exact until it
// has one.
func (w *walk) index(ctx context.Context, space document.Space) error {
	doing, done := "indexing a space", "space is indexed"
	if space.Indexed {
		doing, done = "measuring the index of a space", "index of a space is measured"
	}
	w.Log.InfoContext(ctx, doing, "space", space.ID, "model", space.Model.Name, "dimensions", space.Model.Dimensions)
	start := time.Now()
	if err := w.Store.IndexSpace(ctx, space, w.Threshold); err != nil {
		return fmt.Errorf("index space %d: %w", space.ID, err)
	}
	w.Log.InfoContext(ctx, done, "space", space.ID, "took", time.Since(start))
	return nil
}
