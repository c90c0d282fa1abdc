// Package knowledge is the step that makes a document searchable: it streams
// the original, cuts it into passages, embeds those that are new, writes them
// and, last, switches readers over to them.
package knowledge

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/seed-7a112592/gristmill/pkg/chunk"
	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/telemetry"
)

// Objects opens originals. The reader fetches ranges as it is read and may be
// read as slowly as one likes.
type Objects interface {
	Open(ctx context.Context, name string) (io.ReadSeekCloser, error)
}

// Store holds passages; see storetest.Knowledge for the contract.
type Store interface {
	Known(ctx context.Context, space document.Space, hashes []document.Hash) ([]document.Hash, error)
	Write(ctx context.Context, work document.Work, batch document.Batch, progress document.KnowledgeProgress) error
	Publish(ctx context.Context, work document.Work, progress document.KnowledgeProgress) error
}

// Embedder turns texts into vectors, one for each and in their order, in one
// request. What it returns has been checked: count, order, dimension, finite
// numbers. It waits its turn when too many requests are in flight.
type Embedder interface {
	Embed(ctx context.Context, model document.Model, texts []string) ([][]float32, error)
}

// Live is told how far a task is, for whoever watches. It never fails: what
// matters is in the store.
type Live interface {
	Report(ctx context.Context, work document.Work, progress any)
}

// Step makes documents searchable. Its fields are set once; Run may be called
// by many goroutines.
type Step struct {
	Objects  Objects
	Store    Store
	Embedder Embedder
	Claims   Claims
	Live     Live
	Metrics  *telemetry.Metrics
	Log      *slog.Logger

	BatchPassages int // at most so many passages a batch: one request, one write
	BatchTokens   int // and about so many tokens
	Batches       int // batches of one document in flight

	claims claims
}

// Run puts one version of one document through the step. Buffers are bounded
// by BatchPassages × Batches, whatever the size of the document. Each batch is
// committed as it finishes, so that a later attempt finds its passages and
// pays for none of them again.
func (s *Step) Run(ctx context.Context, work document.Work) error {
	source, err := s.Objects.Open(ctx, work.Object)
	if err != nil {
		return fmt.Errorf("open %s: %w", work.Object, err)
	}
	defer source.Close()

	run := &run{step: s, work: work}
	if err := run.passages(ctx, run.progress.reading(source)); err != nil {
		return err
	}

	start := time.Now()
	final := run.progress.snapshot("done", work.Size)
	if err := s.Store.Publish(ctx, work, final); err != nil {
		return fmt.Errorf("publish %s version %d: %w", work.Key, work.Version, err)
	}
	s.Metrics.ObserveStage("publish", start)
	s.Log.InfoContext(ctx, "document is searchable", "key", work.Key, "version", work.Version,
		"passages", final.Passages, "embedded", final.Embedded)
	return nil
}

// run is one attempt at one version.
type run struct {
	step     *Step
	work     document.Work
	progress progress
}

// passages cuts the source and stores what comes out, batch by batch, several
// at once. Cutting waits when enough batches are in flight. A batch that fails
// ends the cutting and no other batch: what those in flight have asked of the
// model is paid for, and kept.
func (r *run) passages(ctx context.Context, source io.Reader) error {
	group, cutting := errgroup.WithContext(ctx)
	group.SetLimit(r.step.Batches)
	pending := newBatch()
	flush := func() {
		full := pending
		pending = newBatch()
		group.Go(func() error { return r.store(ctx, full) })
	}
	var failed error
	options := chunk.Options{Tokens: r.work.Space.Chunking.Tokens, Overlap: r.work.Space.Chunking.Overlap}
	for passage, err := range chunk.Split(source, options) {
		if failed = err; failed != nil {
			break
		}
		if failed = cutting.Err(); failed != nil {
			break
		}
		pending.add(passage)
		if len(pending.places) >= r.step.BatchPassages || pending.tokens >= r.step.BatchTokens {
			flush()
		}
	}
	if failed == nil && len(pending.places) > 0 {
		flush()
	}
	// A batch that failed is why the cutting ended, so it goes first.
	if err := group.Wait(); err != nil {
		return err
	}
	if failed != nil {
		return fmt.Errorf("read %s: %w", r.work.Object, failed)
	}
	return nil
}
