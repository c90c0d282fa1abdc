package knowledge

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/seed-7a112592/gristmill/internal/goroutine"
	"github.com/seed-7a112592/gristmill/pkg/chunk"
)

// runPasses has the source cut for every target.
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

// runPass cuts the source and stores what comes out, batch by batch, several at
// once, in targets of equal chunking. Cutting waits when enough batches are in
// flight. A batch that fails ends the cutting and no other batch: what those in
// flight have asked of the model is paid for, and kept.
func (r *attempt) runPass(ctx context.Context, source io.Reader, targets []*target) error {
	group, cutting := goroutine.WithContext(ctx)
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
		if failed = cutting.Err(); failed != nil {
			break
		}
		if !slices.ContainsFunc(targets, func(t *target) bool { return !t.leftOut.Load() }) {
			break
		}
		pending.add(passage)
		if len(pending.entries) >= r.step.BatchPassages || pending.tokens >= r.step.BatchTokens {
			pending.wholeVersion = false // more may come, or the original be found damaged
			flush()
		}
	}
	if failed == nil && len(pending.entries) > 0 {
		flush()
	}
	// A batch that failed is why the cutting ended, so it goes first.
	if err := group.Wait(); err != nil {
		return err
	}
	if failed != nil {
		return fmt.Errorf("cut %s: %w", r.work.Key, failed)
	}
	return nil
}

// storeInTargets stores a batch in each of the targets, the live space first.
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
