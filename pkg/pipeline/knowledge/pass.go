package knowledge

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/seed-7a112592/gristmill/pkg/chunk"
	"github.com/seed-7a112592/gristmill/pkg/goroutine"
)

// passages has the source cut for every target.
func (r *run) passages(ctx context.Context, source io.ReadSeeker) error {
	passes := byChunking(r.targets)
	if err := r.pass(ctx, countingReader{source, &r.read}, passes[0]); err != nil {
		return err
	}
	if err := r.targets[0].refused.err(r.work.Space.Model.Name); err != nil {
		return err
	}
	for _, targets := range passes[1:] {
		_, err := source.Seek(0, io.SeekStart)
		if err == nil {
			err = r.pass(ctx, source, targets)
		}
		if err == nil {
			continue
		}
		for _, t := range targets {
			if err := r.fail(ctx, t, err); err != nil {
				return err
			}
		}
	}
	return nil
}

// pass cuts the source and stores what comes out, batch by batch, several at
// once, in targets of equal chunking. Cutting waits when enough batches are in
// flight. A batch that fails ends the cutting and no other batch: what those in
// flight have asked of the model is paid for, and kept.
func (r *run) pass(ctx context.Context, source io.Reader, targets []*target) error {
	group, cutting := goroutine.WithContext(ctx)
	group.SetLimit(r.step.Batches)
	pending := &batch{whole: len(r.targets) == 1}
	flush := func() {
		full := pending
		pending = &batch{}
		group.Go(func() error { return r.storeAll(ctx, targets, full) })
	}
	var failed error
	for passage, err := range chunk.Split(source, chunk.OptionsOf(targets[0].work.Space.Chunking, r.work.Source())) {
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
		if len(pending.places) >= r.step.BatchPassages || pending.tokens >= r.step.BatchTokens {
			pending.whole = false // more may come, or the original be found damaged
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
		return fmt.Errorf("cut %s: %w", r.work.Key, failed)
	}
	return nil
}

// storeAll stores a batch in each of the targets, the live space first.
func (r *run) storeAll(ctx context.Context, targets []*target, b *batch) error {
	for _, t := range targets {
		if t.leftOut.Load() {
			continue
		}
		if err := r.store(ctx, t, b); err != nil {
			if err := r.fail(ctx, t, err); err != nil {
				return err
			}
			continue
		}
		if t.live && !r.published {
			r.step.Live.Report(ctx, r.work, r.snapshot("streaming"))
		}
	}
	return nil
}
