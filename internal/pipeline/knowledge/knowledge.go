// Package knowledge is the step that makes a document searchable. It streams the original, splits it
// into passages, embeds and writes the new ones, and finally publishes the version. It does so for the
// active space, and for the other spaces that are kept complete.
package knowledge

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/seed-7a112592/gristmill/internal/embedding"
	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/required"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/telemetry"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Objects opens originals. The reader fetches ranges as it is read, and may be read slowly.
type Objects interface {
	Open(ctx context.Context, name string) (io.ReadSeekCloser, error)
}

// Store holds passages; see storetest.Knowledge for the contract.
type Store interface {
	PrepareSpace(ctx context.Context, work task.Work, model document.Model, chunking document.Chunking) (task.Work, error)
	ReusePassages(ctx context.Context, space vector.Space, hashes []document.ContentHash) (map[document.ContentHash]int, error)
	WriteBatch(ctx context.Context, work task.Work, batch vector.Batch, progress document.KnowledgeProgress) error
	Publish(ctx context.Context, work task.Work, also []vector.SpaceVersion, progress document.KnowledgeProgress, warnings ...document.Warning) error
	WriteAndPublish(ctx context.Context, work task.Work, batch vector.Batch, progress document.KnowledgeProgress, warnings ...document.Warning) (published bool, err error)
}

// ProgressReporter receives the progress of a task, for those who watch it. It does not fail: the
// store has all that matters.
type ProgressReporter interface {
	ReportProgress(ctx context.Context, work task.Work, progress any)
}

// Config is what the step needs.
type Config struct {
	Objects  Objects
	Store    Store
	Embedder embedding.Embedder
	Process  *embedding.ProcessState // shared by the process
	Progress ProgressReporter
	Metrics  *telemetry.Metrics
	Log      *slog.Logger

	// Defaults has the model and chunking of collections that hold nothing yet.
	Defaults *embedding.ConfiguredModel

	BatchPassages   int // maximum number of passages in a batch, which is one request and one write
	BatchTokens     int // approximate maximum number of tokens in a batch
	ParallelBatches int // maximum number of concurrent batches of one document
}

// Step makes documents searchable. It is safe for concurrent use.
type Step struct {
	Config
	cache *embedding.Cache
}

// NewStep returns a step, or an error that names what config lacks.
func NewStep(config Config) (*Step, error) {
	if err := required.Fields(config); err != nil {
		return nil, err
	}
	cache, err := embedding.NewCache(embedding.CacheConfig{
		Store: config.Store, Embedder: config.Embedder, Process: config.Process, Metrics: config.Metrics,
		BatchPassages: config.BatchPassages, BatchTokens: config.BatchTokens,
	})
	if err != nil {
		return nil, err
	}
	return &Step{config, cache}, nil
}

// Run runs the step for one version of a document. If the original is damaged, Run fails before the
// version is published. The memory of a run is bounded by BatchPassages × ParallelBatches passages,
// whatever the size of the document. Each batch is committed when it is complete, so that a later
// attempt reuses its passages and does not pay for them again. If there is only one batch, its commit
// also publishes the version.
func (s *Step) Run(ctx context.Context, work task.Work) error {
	work, err := s.prepareSpace(ctx, work)
	if err != nil {
		return fmt.Errorf("prepare a space for %s: %w", work.Key, err)
	}
	source, err := original.Open(ctx, s.Objects, work.Original())
	if err != nil {
		return err
	}
	defer source.Close()

	run := &attempt{step: s, work: work, targets: newTargets(work)}
	if err := run.runPasses(ctx, source); err != nil {
		return err
	}

	progress := run.progressAt("done")
	if !run.published {
		start := time.Now()
		if err := s.Store.Publish(ctx, work, run.otherSpaceVersions(), progress, run.targets[0].warnings.All()...); err != nil {
			return fmt.Errorf("publish %s version %d: %w", work.Key, work.Version, err)
		}
		s.Metrics.ObserveStage("publish", start)
	}
	s.Log.InfoContext(ctx, "document is searchable", "key", work.Key, "version", work.Version,
		"passages", progress.Passages, "embedded", progress.Embedded)
	return nil
}

// attempt is one attempt at the step for one version.
type attempt struct {
	step      *Step
	work      task.Work
	targets   []*target    // the first is the active space
	bytesRead atomic.Int64 // bytes of the source that were read for the active space

	published bool // the only batch has published the version
}
