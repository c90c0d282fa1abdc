// Package reindex rebuilds the search data of a collection. If the model or the chunking changes, it
// builds a new space while the active one answers searches, and switches by changing one row. If
// neither changes, it queues documents again that are missing, failed or stale. Passages that are
// embedded already are not embedded again.
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

// Store holds spaces and the progress of a reindex; see storetest.Reindexing and, for ReusePassages,
// storetest.Knowledge for the contract.
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

// Objects opens originals. The reader fetches ranges as it is read, and may be read slowly.
type Objects interface {
	Open(ctx context.Context, name string) (io.ReadSeekCloser, error)
}

// ChangeNotifier is notified of changes of a reindex, for those who watch it.
type ChangeNotifier interface {
	NotifyChange(ctx context.Context, id uuid.UUID)
}

// Dispatcher puts tasks into the queue while there is room. It does not fail.
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

	BatchPassages    int // maximum number of passages in a request
	BatchTokens      int // approximate maximum number of tokens in a request
	ParallelRequests int // number of concurrent requests of one reindex, which together make one write

	IndexThreshold int           // number of passages from which a space has an index
	Soak           time.Duration `zero:"ok"` // how long the previously active space is kept
}

// Step runs reindexes. It is safe for concurrent use.
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
	// requeueWindow is the maximum number of unfinished jobs of one reindex. It is small, so that
	// uploads do not wait behind them.
	requeueWindow = 8

	// requeueInterval is the time between two checks whether jobs have ended.
	requeueInterval = 500 * time.Millisecond
)

// Run runs a reindex, or continues one where an earlier attempt ended.
func (s *Step) Run(ctx context.Context, work task.Work) error {
	reindex, err := s.Store.Reindex(ctx, work.JobID)
	if err != nil {
		return fmt.Errorf("reindex %s: %w", work.JobID, err)
	}
	if reindex.Change == document.ChangeNothing {
		return s.requeueDocuments(ctx, work)
	}
	startedAt := time.Now()
	plan, err := s.Store.PlanRebuild(ctx, work)
	if err != nil {
		return fmt.Errorf("reindex %s: %w", work.JobID, err)
	}
	return s.newSpaceBuilder(work, plan, startedAt).run(ctx)
}

// requeueDocuments queues documents again, requeueWindow at a time, until the jobs of all of them have
// ended.
func (s *Step) requeueDocuments(ctx context.Context, work task.Work) error {
	timer := time.NewTicker(requeueInterval)
	defer timer.Stop()
	for {
		requeued, err := s.Store.RequeueDocuments(ctx, work, requeueWindow)
		if err != nil {
			return fmt.Errorf("queue documents of %s again: %w", work.Collection, err)
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
