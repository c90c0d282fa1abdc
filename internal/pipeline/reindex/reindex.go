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

	"github.com/seed-7a112592/gristmill/internal/embedding"
	"github.com/seed-7a112592/gristmill/internal/rebuild"
	"github.com/seed-7a112592/gristmill/internal/required"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/telemetry"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Store holds spaces and how far a reindex is; see storetest.Reindexing and,
// for Known, storetest.Knowledge for the contract.
type Store interface {
	Reindex(ctx context.Context, id uuid.UUID) (document.Reindex, error)
	RequeueDocuments(ctx context.Context, work task.Work, window int) (rebuild.RequeueResult, error)

	PlanRebuild(ctx context.Context, work task.Work) (rebuild.Plan, error)
	MissingVersions(ctx context.Context, work task.Work, after uuid.UUID, limit int) ([]rebuild.MissingVersion, error)
	VersionPassages(ctx context.Context, space vector.Space, of rebuild.MissingVersion, from, limit int) ([]vector.PassageAt, error)
	ReusePassages(ctx context.Context, space vector.Space, hashes []document.ContentHash) (map[document.ContentHash]int, error)
	WriteToSpace(ctx context.Context, work task.Work, rebuilt rebuild.SpaceWrite, progress document.ReindexProgress) error
	SetReindexStage(ctx context.Context, work task.Work, stage document.ReindexStage, progress document.ReindexProgress) error
	IndexSpace(ctx context.Context, space vector.Space, threshold int) error
	VerifySpace(ctx context.Context, work task.Work, sample int) error
	ActivateSpace(ctx context.Context, work task.Work, keep time.Duration, progress document.ReindexProgress) error
}

// Objects opens originals. The reader fetches ranges as it is read and may be
// read as slowly as one likes.
type Objects interface {
	Open(ctx context.Context, name string) (io.ReadSeekCloser, error)
}

// ChangeNotifier is told that something about a reindex has changed, for those who watch.
type ChangeNotifier interface {
	NotifyChange(ctx context.Context, id uuid.UUID)
}

// Dispatcher puts into the queue what there is room for. It does not fail.
type Dispatcher interface {
	Dispatch(ctx context.Context)
}

// StepConfig is what the step needs.
type StepConfig struct {
	Store      Store
	Objects    Objects
	Embedder   embedding.Embedder
	Process    *embedding.ProcessState
	Changes    ChangeNotifier
	Dispatcher Dispatcher
	Metrics    *telemetry.Metrics
	Log        *slog.Logger

	BatchPassages    int // maximum number of passages of a request
	BatchTokens      int // and of tokens, about
	ParallelRequests int // of one reindex in flight; what they embed is one write

	IndexThreshold int           // passages of a space from which on it has an index
	Soak           time.Duration `zero:"ok"` // how long the space that was live before is kept
}

// Step does reindexes. Run may be called by many goroutines.
type Step struct {
	StepConfig
	cache *embedding.Cache
}

// NewStep returns a step, or an error that names what config lacks.
func NewStep(config StepConfig) (*Step, error) {
	if err := required.Fields(config); err != nil {
		return nil, err
	}
	cache, err := embedding.NewCache(embedding.CacheConfig{
		Store: config.Store, Embedder: config.Embedder, Process: config.Process, Metrics: config.Metrics,
		BatchPassages: config.BatchPassages, BatchTokens: config.BatchTokens, MaxInFlight: config.ParallelRequests,
	})
	if err != nil {
		return nil, err
	}
	return &Step{config, cache}, nil
}

const (
	// requeueWindow is how many jobs of one reindex may be under way: few, so that
	// uploads do not wait behind them.
	requeueWindow = 8

	// requeueInterval is how often it is looked whether jobs have ended.
	requeueInterval = 500 * time.Millisecond
)

// Run does a reindex, or goes on with one where an earlier attempt has ended.
func (s *Step) Run(ctx context.Context, work task.Work) error {
	reindex, err := s.Store.Reindex(ctx, work.JobID)
	if err != nil {
		return fmt.Errorf("reindex %s: %w", work.JobID, err)
	}
	if reindex.Change == document.ChangeNothing {
		return s.requeueDocuments(ctx, work)
	}
	begun := time.Now()
	rebuild, err := s.Store.PlanRebuild(ctx, work)
	if err != nil {
		return fmt.Errorf("reindex %s: %w", work.JobID, err)
	}
	return s.newSpaceBuilder(work, rebuild, begun).run(ctx)
}

// requeueDocuments puts documents back on the path, some at a time, until all of them
// have been through.
func (s *Step) requeueDocuments(ctx context.Context, work task.Work) error {
	timer := time.NewTicker(requeueInterval)
	defer timer.Stop()
	for {
		requeued, err := s.Store.RequeueDocuments(ctx, work, requeueWindow)
		if err != nil {
			return fmt.Errorf("put documents of %s back on the path: %w", work.Collection, err)
		}
		if requeued.Jobs > 0 {
			s.Dispatcher.Dispatch(ctx)
		}
		if requeued.Ended {
			return nil
		}
		s.Changes.NotifyChange(ctx, work.JobID)
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
