package sweep

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/goroutine"
)

// KeeperStore builds vector indexes; see storetest.Reindexing and Sweeping for
// the contract.
type KeeperStore interface {
	Tenants(ctx context.Context) ([]string, error)
	Unindexed(ctx context.Context, threshold int) ([]document.Space, error)
	IndexSpace(ctx context.Context, space document.Space, threshold int) error
	Exclusively(ctx context.Context, name string, fn func(ctx context.Context) error) error
}

// Keeper gives spaces that have grown past the threshold a vector index. That
// may take hours, so it is no part of the sweep.
type Keeper struct {
	Store     KeeperStore
	Threshold int // passages
	Log       *slog.Logger
}

// keepInterval is how often it is looked for spaces that have grown.
const keepInterval = 30 * time.Second

// Run looks at once, and then on a timer, until ctx ends. Any number of
// processes may run it; one at a time builds.
func (k *Keeper) Run(ctx context.Context) {
	ticker := time.NewTicker(keepInterval)
	defer ticker.Stop()
	for {
		if err := goroutine.Try(func() error { return k.Store.Exclusively(ctx, "index", k.keep) }); err != nil && ctx.Err() == nil {
			k.Log.WarnContext(ctx, "not all spaces that have grown are indexed; trying again soon", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// keep indexes what has grown of every tenant. A space that cannot be indexed
// now does not keep the others.
func (k *Keeper) keep(ctx context.Context) error {
	tenants, err := k.Store.Tenants(ctx)
	if err != nil {
		return fmt.Errorf("list tenants: %w", err)
	}
	var errs []error
	for _, id := range tenants {
		ctx := of(ctx, id)
		spaces, err := k.Store.Unindexed(ctx, k.Threshold)
		if err != nil {
			errs = append(errs, fmt.Errorf("look for grown spaces of tenant %s: %w", id, err))
		}
		for _, space := range spaces {
			errs = append(errs, k.index(ctx, space))
		}
	}
	return errors.Join(errs...)
}

// index indexes a space. Searches of it are exact until that is done.
func (k *Keeper) index(ctx context.Context, space document.Space) error {
	k.Log.InfoContext(ctx, "indexing a space", "space", space.ID, "model", space.Model.Name, "dimensions", space.Model.Dimensions)
	start := time.Now()
	if err := k.Store.IndexSpace(ctx, space, k.Threshold); err != nil {
		return fmt.Errorf("index space %d: %w", space.ID, err)
	}
	k.Log.InfoContext(ctx, "space is indexed", "space", space.ID, "took", time.Since(start))
	return nil
}
