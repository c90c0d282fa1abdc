// Package reindex rebuilds what search knows of a collection. Where the model
// or the chunking changes, a new space is built beside the live one, which goes
// on answering until one row is changed; where nothing does, documents that are
// missing, failed or stale are put back on the path. What has been embedded
// already is not embedded again.
package reindex

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/embedding"
	"github.com/seed-7a112592/gristmill/pkg/telemetry"
)

// Store holds spaces and how far a reindex is; see storetest.Reindexing and,
// for Known, storetest.Knowledge for the contract.
type Store interface {
	Reindex(ctx context.Context, id uuid.UUID) (document.Reindex, error)
	Requeue(ctx context.Context, work document.Work, window int) (document.Requeued, error)

	Rebuild(ctx context.Context, work document.Work) (document.Rebuild, error)
	Unplaced(ctx context.Context, work document.Work, after uuid.UUID, limit int) ([]document.Unplaced, error)
	StoredPassages(ctx context.Context, space document.Space, of document.Unplaced, from, limit int) ([]document.Stored, error)
	Known(ctx context.Context, space document.Space, hashes []document.Hash) (map[document.Hash]int, error)
	Place(ctx context.Context, work document.Work, rebuilt document.Rebuilt, progress document.ReindexProgress) error
	SetStage(ctx context.Context, work document.Work, stage document.ReindexStage, progress document.ReindexProgress) error
	IndexSpace(ctx context.Context, space document.Space, threshold int) error
	Verify(ctx context.Context, work document.Work, sample int) error
	Switch(ctx context.Context, work document.Work, keep time.Duration, progress document.ReindexProgress) error
}

// Objects opens originals. The reader fetches ranges as it is read and may be
// read as slowly as one likes.
type Objects interface {
	Open(ctx context.Context, name string) (io.ReadSeekCloser, error)
}

// Live is told that something about a reindex has changed, for those who watch.
type Live interface {
	Changed(ctx context.Context, id uuid.UUID)
}

// Dispatcher puts into the queue what there is room for. It does not fail.
type Dispatcher interface {
	Dispatch(ctx context.Context)
}

// Step does reindexes. Its fields are set once; Run may be called by many
// goroutines.
type Step struct {
	Store      Store
	Objects    Objects
	Embedder   embedding.Embedder
	Process    *embedding.Process
	Live       Live
	Dispatcher Dispatcher
	Metrics    *telemetry.Metrics
	Log        *slog.Logger

	BatchPassages int // maximum number of passages of a request
	BatchTokens   int // and of tokens, about
	Requests      int // of one reindex in flight; what they embed is one write

	IndexThreshold int           // passages of a space from which on it has an index
	Soak           time.Duration // how long the space that was live before is kept
}

const (
	// window is how many jobs of one reindex may be under way: few, so that
	// uploads do not wait behind them.
	window = 8

	// lookAgain is how often it is looked whether jobs have ended.
	lookAgain = 500 * time.Millisecond
)

// Run does a reindex, or goes on with one where an earlier attempt has ended.
func (s *Step) Run(ctx context.Context, work document.Work) error {
	reindex, err := s.Store.Reindex(ctx, work.Job)
	if err != nil {
		return fmt.Errorf("reindex %s: %w", work.Job, err)
	}
	if reindex.Change == document.ChangeNothing {
		return s.requeue(ctx, work)
	}
	begun := time.Now()
	rebuild, err := s.Store.Rebuild(ctx, work)
	if err != nil {
		return fmt.Errorf("reindex %s: %w", work.Job, err)
	}
	return s.newBuilder(work, rebuild, begun).run(ctx)
}

// requeue puts documents back on the path, some at a time, until all of them
// have been through.
func (s *Step) requeue(ctx context.Context, work document.Work) error {
	timer := time.NewTicker(lookAgain)
	defer timer.Stop()
	for {
		requeued, err := s.Store.Requeue(ctx, work, window)
		if err != nil {
			return fmt.Errorf("put documents of %s back on the path: %w", work.Collection, err)
		}
		if requeued.Jobs > 0 {
			s.Dispatcher.Dispatch(ctx)
		}
		if requeued.Ended {
			return nil
		}
		s.Live.Changed(ctx, work.Job)
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
