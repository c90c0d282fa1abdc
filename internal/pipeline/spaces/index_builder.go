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
	"github.com/seed-7a112592/gristmill/internal/required"
	"github.com/seed-7a112592/gristmill/internal/telemetry"
	"github.com/seed-7a112592/gristmill/internal/vector"
)

// Store finds and maintains spaces that have grown; see storetest.Reindexing and Sweeping for the
// contract.
type Store interface {
	Tenants(ctx context.Context) ([]string, error)
	TenantsWithGrownSpaces(ctx context.Context) ([]string, error)
	GrownSpaces(ctx context.Context, kind vector.Maintenance, threshold int) ([]vector.Space, error)
	GrownSpacesAfter(ctx context.Context, kind vector.Maintenance, threshold int, after int64, limit int) ([]vector.Space, int64, error)
	MoveSpaceToOwnTable(ctx context.Context, space vector.Space) error
	IndexSpace(ctx context.Context, space vector.Space, threshold int) error
	TryWithLock(ctx context.Context, name string, fn func(ctx context.Context) error) error
}

// Config is what an IndexBuilder needs.
type Config struct {
	Store        Store
	Threshold    int  // number of passages
	BuildIndexes bool `zero:"ok"` // if false, spaces are only moved
	Log          *slog.Logger
}

// IndexBuilder moves spaces that have grown to tables of their own, and builds a vector index for
// those with at least Threshold passages. Building an index may take hours, so this is not a part
// of the sweep, and moves do not wait for indexes.
type IndexBuilder struct{ Config }

// NewIndexBuilder returns an IndexBuilder, or an error that names what config lacks.
func NewIndexBuilder(config Config) (*IndexBuilder, error) {
	if err := required.Fields(config); err != nil {
		return nil, err
	}
	return &IndexBuilder{config}, nil
}

const (
	// buildInterval is the time between two rounds.
	buildInterval = 30 * time.Second

	// scanTime bounds how long one round scans all spaces. scanBatch is the number of spaces that
	// one transaction reads.
	scanTime  = 50 * time.Millisecond
	scanBatch = 50
)

// Run runs a round immediately and then on a timer, until ctx ends. Any number of processes may
// call it: at any time, one of them moves spaces, and one builds indexes.
func (b *IndexBuilder) Run(ctx context.Context) {
	group := goroutine.NewGroup()
	for _, kind := range []vector.Maintenance{vector.MaintenanceMove, vector.MaintenanceIndex} {
		group.Go(func() error { b.runLoop(ctx, kind); return nil })
	}
	if err := group.Wait(); err != nil {
		b.Log.ErrorContext(ctx, "maintenance of grown spaces has stopped; restart the worker", "error", err)
	}
}

func (b *IndexBuilder) runLoop(ctx context.Context, kind vector.Maintenance) {
	scan := spaceScan{IndexBuilder: b, kind: kind}
	ticker := time.NewTicker(buildInterval)
	defer ticker.Stop()
	for {
		if err := goroutine.Try(func() error { return b.Store.TryWithLock(ctx, string(kind), scan.runRound) }); err != nil && ctx.Err() == nil {
			b.Log.WarnContext(ctx, "maintenance of some grown spaces failed; the next round tries again", "kind", kind, "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// spaceScan does one kind of maintenance. It remembers the position of its scan of all spaces.
type spaceScan struct {
	*IndexBuilder
	kind   vector.Maintenance
	tenant string // tenant that the scan has reached
	after  int64  // last space of the tenant that was scanned
}

// runRound maintains the spaces that have grown since the last round, and continues the scan of
// all spaces. An error of one space does not stop the others.
func (s *spaceScan) runRound(ctx context.Context) error {
	tenants, err := s.Store.TenantsWithGrownSpaces(ctx)
	if err != nil {
		return fmt.Errorf("list tenants with grown spaces: %w", err)
	}
	var errs []error
	for _, id := range tenants {
		ctx := telemetry.WithTenant(ctx, id)
		spaces, err := s.Store.GrownSpaces(ctx, s.kind, s.Threshold)
		errs = append(errs, err, s.maintain(ctx, spaces))
	}
	return errors.Join(append(errs, s.scanAll(ctx))...)
}

// scanAll finds spaces that are not on the list of grown spaces: those of earlier releases, those
// that needed nothing under another threshold, and those that grew too little to be listed. It
// continues where the last round stopped, and ends with the last space.
func (s *spaceScan) scanAll(ctx context.Context) error {
	tenants, err := s.Store.Tenants(ctx)
	if err != nil {
		return fmt.Errorf("list tenants: %w", err)
	}
	var errs []error
	start := time.Now()
	first, found := slices.BinarySearch(tenants, s.tenant)
	if !found {
		s.after = 0
	}
	for _, id := range tenants[first:] {
		ctx := telemetry.WithTenant(ctx, id)
		for s.tenant = id; ; {
			if ctx.Err() != nil || time.Since(start) > scanTime {
				return errors.Join(errs...)
			}
			spaces, last, err := s.Store.GrownSpacesAfter(ctx, s.kind, s.Threshold, s.after, scanBatch)
			s.after = last
			maintained := time.Now()
			errs = append(errs, err, s.maintain(ctx, spaces))
			start = start.Add(time.Since(maintained)) // maintenance does not count as scan time
			if last == 0 {
				break
			}
		}
	}
	s.tenant = ""
	return errors.Join(errs...)
}

// maintain moves or indexes the given spaces.
func (s *spaceScan) maintain(ctx context.Context, spaces []vector.Space) error {
	var errs []error
	for _, space := range spaces {
		switch {
		case s.kind == vector.MaintenanceMove:
			errs = append(errs, s.moveSpace(ctx, space))
		case s.BuildIndexes:
			errs = append(errs, s.indexSpace(ctx, space))
		}
	}
	return errors.Join(errs...)
}

// moveSpace moves a space. Until the move is complete, writes to the space go to both tables.
func (s *spaceScan) moveSpace(ctx context.Context, space vector.Space) error {
	s.Log.InfoContext(ctx, "moving a space to its own table", "space", space.ID)
	start := time.Now()
	if err := s.Store.MoveSpaceToOwnTable(ctx, space); err != nil {
		return fmt.Errorf("move space %d: %w", space.ID, err)
	}
	s.Log.InfoContext(ctx, "space moved to its own table", "space", space.ID, "took", time.Since(start))
	return nil
}

// indexSpace builds the index of a space, or measures an existing one. Searches are exact until
// the space has an index.
func (s *spaceScan) indexSpace(ctx context.Context, space vector.Space) error {
	doing, done := "building the index of a space", "index of a space built"
	if space.Indexed {
		doing, done = "measuring the index of a space", "index of a space measured"
	}
	s.Log.InfoContext(ctx, doing, "space", space.ID, "model", space.Model.Name, "dimensions", space.Model.Dimensions)
	start := time.Now()
	if err := s.Store.IndexSpace(ctx, space, s.Threshold); err != nil {
		return fmt.Errorf("index space %d: %w", space.ID, err)
	}
	s.Log.InfoContext(ctx, done, "space", space.ID, "took", time.Since(start))
	return nil
}
