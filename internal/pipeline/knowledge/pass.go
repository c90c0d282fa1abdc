package knowledge

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/seed-7a112592/gristmill/internal/goroutine"
	"github.com/seed-7a112592/gristmill/pkg/chunk"
)

// runPasses splits the source for every target, and stores its passages there.
func (r *attempt) runPasses(ctx context.Context, source io.ReadSeeker) error {
	passes := groupByChunking(r.targets)
	if err := r.runPass(ctx, countingReader{source, &r.bytesRead}, passes[0]); err != nil {
		return err
	}
	if err := r.targets[0].refused.toError(r.work.Space.Model.Name); err != nil {
		return err
	}
	for _, targets := range passes[1:] {
		_, err := source.Seek(0, io.SeekStart)
		if err == nil {
			err = r.runPass(ctx, source, targets)
		}
		if err == nil {
			continue
		}
		for _, t := range targets {
			if err := r.handleTargetError(ctx, t, err); err != nil {
				return err
			}
		}
	}
	return nil
}

// runPass splits the source, and stores its batches in targets with the same chunking. Several batches
// are stored at a time; splitting waits if there are ParallelBatches. A failed batch ends the
// splitting, but not the other batches: their requests to the model are paid for, so their results
// are kept.
func (r *attempt) runPass(ctx context.Context, source io.Reader, targets []*target) error {
	group, splitting := goroutine.WithContext(ctx)
	group.SetLimit(r.step.ParallelBatches)
	pending := &batch{wholeVersion: len(r.targets) == 1}
	flush := func() {
		full := pending
		pending = &batch{}
		group.Go(func() error { return r.storeInTargets(ctx, targets, full) })
	}
	var failed error
	for passage, err := range chunk.Split(source, chunk.OptionsOf(targets[0].work.Space.Chunking, r.work.SourceInfo())) {
		if failed = err; failed != nil {
			break
		}
		if failed = splitting.Err(); failed != nil {
			break
		}
		if !slices.ContainsFunc(targets, func(t *target) bool { return !t.leftOut.Load() }) {
			break
		}
		pending.add(passage)
		if len(pending.entries) >= r.step.BatchPassages || pending.tokens >= r.step.BatchTokens {
			pending.wholeVersion = false // more passages may follow, or the original may turn out to be damaged
			flush()
		}
	}
	if failed == nil && len(pending.entries) > 0 {
		flush()
	}
	// A failed batch is the reason why the splitting ended, so its error goes first.
	if err := group.Wait(); err != nil {
		return err
	}
	if failed != nil {
		return fmt.Errorf("split %s: %w", r.work.Key, failed)
	}
	return nil
}

// storeInTargets stores a batch in all targets, the active space first.
func (r *attempt) storeInTargets(ctx context.Context, targets []*target, b *batch) error {
	for _, t := range targets {
		if t.leftOut.Load() {
			continue
		}
		if err := r.storeInTarget(ctx, t, b); err != nil {
			if err := r.handleTargetError(ctx, t, err); err != nil {
				return err
			}
			continue
		}
		if t.active && !r.published {
			r.step.Progress.ReportProgress(ctx, r.work, r.progressAt("streaming"))
		}
	}
	return nil
}
