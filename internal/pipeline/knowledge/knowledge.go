// Package knowledge is the step that makes a document searchable: it streams
// the original, cuts it into passages, embeds those that are new, writes them
// and, last, switches readers over to them. It does so for the space that is
// live and for those beside it that are kept complete.
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

// Objects opens originals. The reader fetches ranges as it is read and may be
// read as slowly as one likes.
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

// ProgressReporter is told how far a task is, for those who watch it. It never fails: what
// matters is in the store.
type ProgressReporter interface {
	ReportProgress(ctx context.Context, work task.Work, progress any)
}

// Config is what the step needs.
type Config struct {
	Objects  Objects
	Store    Store
	Embedder embedding.Embedder
	Process  *embedding.ProcessState
	Progress ProgressReporter
	Metrics  *telemetry.Metrics
	Log      *slog.Logger

	// Defaults is what a collection takes that holds nothing yet.
	Defaults *embedding.ConfiguredModel

	BatchPassages   int // maximum number of passages of a batch: one request, one write
	BatchTokens     int // and of tokens, about
	ParallelBatches int // batches of one document in flight
}

// Step makes documents searchable. Run may be called by many goroutines.
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

// Run puts one version of one document through the step. An original that is not
// what was uploaded fails it before anything becomes live. Buffers are bounded by
// BatchPassages × Batches, whatever the size of the document. Each batch is
// committed as it finishes, so that a later attempt finds its passages and pays
// for none of them again. Where there is only one, the commit publishes the
// version too.
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

	final := run.progressAt("done")
	if !run.published {
		start := time.Now()
		if err := s.Store.Publish(ctx, work, run.otherSpaceVersions(), final, run.targets[0].warnings.All()...); err != nil {
			return fmt.Errorf("publish %s version %d: %w", work.Key, work.Version, err)
		}
		s.Metrics.ObserveStage("publish", start)
	}
	s.Log.InfoContext(ctx, "document is searchable", "key", work.Key, "version", work.Version,
		"passages", final.Passages, "embedded", final.Embedded)
	return nil
}

// attempt is one attempt at one version.
type attempt struct {
	step      *Step
	work      task.Work
	targets   []*target    // the first is live
	bytesRead atomic.Int64 // bytes of the source, for the live space

	published bool // with the only batch
}
