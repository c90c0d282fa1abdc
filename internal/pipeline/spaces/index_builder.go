// Package spaces maintains spaces that grow: it moves them to tables of their own
// and builds their vector indexes.
package spaces

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/seed-7a112592/gristmill/internal/goroutine"
	"github.com/seed-7a112592/gristmill/internal/telemetry"
	"github.com/seed-7a112592/gristmill/internal/vector"
)

// Store cares for spaces that grow; see storetest.Reindexing and Sweeping
// for the contract.
type Store interface {
	Tenants(ctx context.Context) ([]string, error)
	TenantsWithGrownSpaces(ctx context.Context) ([]string, error)
	GrownSpaces(ctx context.Context, kind vector.Maintenance, threshold int) ([]vector.Space, error)
	GrownSpacesAfter(ctx context.Context, kind vector.Maintenance, threshold int, after int64, limit int) ([]vector.Space, int64, error)
	MoveSpaceToOwnTable(ctx context.Context, space vector.Space) error
	IndexSpace(ctx context.Context, space vector.Space, threshold int) error
	TryWithLock(ctx context.Context, name string, fn func(ctx context.Context) error) error
}

// IndexBuilder moves spaces that have grown to a table of their own, and gives those
// that have grown past the threshold a vector index. An index may take hours, so
// this is no part of the sweep, and moves do not wait for indexes.
type IndexBuilder struct {
	Store        Store
	Threshold    int  // passages
	BuildIndexes bool // indexes; else spaces are only moved
	Log          *slog.Logger
}

const (
	// buildInterval is the time between two looks for spaces that have grown.
	buildInterval = 30 * time.Second

	// scanTime is how long one round walks through all spaces, and walkSpaces how
	// many of them one transaction looks at.
	scanTime  = 50 * time.Millisecond
	scanBatch = 50
)

// Run looks at once, and then on a timer, until ctx ends. Any number of
// processes may run it; one at a time moves, and one at a time builds.
func (b *IndexBuilder) Run(ctx context.Context) {
	group := goroutine.NewGroup()
	for _, kind := range []vector.Maintenance{vector.MaintenanceMove, vector.MaintenanceIndex} {
		group.Go(func() error { b.runLoop(ctx, kind); return nil })
	}
	if err := group.Wait(); err != nil {
		b.Log.ErrorContext(ctx, "spaces that grow are not kept any more", "error", err)
	}
}

func (b *IndexBuilder) runLoop(ctx context.Context, kind vector.Maintenance) {
	w := spaceScan{IndexBuilder: b, kind: kind}
	ticker := time.NewTicker(buildInterval)
	defer ticker.Stop()
	for {
		if err := goroutine.Try(func() error { return b.Store.TryWithLock(ctx, string(kind), w.runRound) }); err != nil && ctx.Err() == nil {
			b.Log.WarnContext(ctx, "not all spaces that have grown have what they need; trying again soon", "kind", kind, "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// spaceScan is one care of a keeper, and how far its walk through all spaces is.
type spaceScan struct {
	*IndexBuilder
	kind   vector.Maintenance
	tenant string // that is walked through, or was
	after  int64  // last space of it that was looked at
}

// runRound cares for the spaces that have grown since the last round, and walks on
// through all. A space that cannot be cared for now does not keep the others.
func (w *spaceScan) runRound(ctx context.Context) error {
	tenants, err := w.Store.TenantsWithGrownSpaces(ctx)
	if err != nil {
		return fmt.Errorf("list tenants with grown spaces: %w", err)
	}
	var errs []error
	for _, id := range tenants {
		ctx := telemetry.WithTenant(ctx, id)
		spaces, err := w.Store.GrownSpaces(ctx, w.kind, w.Threshold)
		errs = append(errs, err, w.maintain(ctx, spaces))
	}
	return errors.Join(append(errs, w.scanAll(ctx))...)
}

// scanAll finds what is on no list: spaces of a release before, those that wanted
// nothing by another threshold, and what did not seem worth listing. It goes on
// where the last round stopped, and ends with the last space.
func (w *spaceScan) scanAll(ctx context.Context) error {
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
		ctx := telemetry.WithTenant(ctx, id)
		for w.tenant = id; ; {
			if ctx.Err() != nil || time.Since(start) > scanTime {
				return errors.Join(errs...)
			}
			spaces, last, err := w.Store.GrownSpacesAfter(ctx, w.kind, w.Threshold, w.after, scanBatch)
			w.after = last
			began := time.Now()
			errs = append(errs, err, w.maintain(ctx, spaces))
			start = start.Add(time.Since(began)) // care is no part of the walk
			if last == 0 {
				break
			}
		}
	}
	w.tenant = ""
	return errors.Join(errs...)
}

// maintain gives spaces what they want.
func (w *spaceScan) maintain(ctx context.Context, spaces []vector.Space) error {
	var errs []error
	for _, space := range spaces {
		switch {
		case w.kind == vector.MaintenanceMove:
			errs = append(errs, w.moveSpace(ctx, space))
		case w.BuildIndexes:
			errs = append(errs, w.indexSpace(ctx, space))
		}
	}
	return errors.Join(errs...)
}

// moveSpace moves a space. Writes to it go to both tables until that is done.
func (w *spaceScan) moveSpace(ctx context.Context, space vector.Space) error {
	w.Log.InfoContext(ctx, "moving a space to a table of its own", "space", space.ID)
	start := time.Now()
	if err := w.Store.MoveSpaceToOwnTable(ctx, space); err != nil {
		return fmt.Errorf("move space %d: %w", space.ID, err)
	}
	w.Log.InfoContext(ctx, "space has a table of its own", "space", space.ID, "took", time.Since(start))
	return nil
}

// indexSpace indexes a space, or measures its index. Searches of it are exact until it
// has one.
func (w *spaceScan) indexSpace(ctx context.Context, space vector.Space) error {
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
