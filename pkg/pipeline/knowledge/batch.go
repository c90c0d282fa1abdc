package knowledge

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-7a112592/gristmill/pkg/chunk"
	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
)

// batch is a run of passages that are looked up, embedded and written
// together. A passage that stands in it twice is embedded once.
type batch struct {
	places   []document.Place
	passages map[document.Hash]chunk.Passage
	tokens   int
}

func newBatch() *batch {
	return &batch{passages: make(map[document.Hash]chunk.Passage)}
}

func (b *batch) add(p chunk.Passage) {
	hash := document.HashText(p.EmbeddingText())
	b.places = append(b.places, document.Place{Hash: hash, Ordinal: p.Ordinal, Start: p.Start, End: p.End})
	b.passages[hash] = p
	b.tokens += p.Tokens
}

// missing returns the hashes that are not among the known, each once, in the
// order of their places.
func (b *batch) missing(known []document.Hash) []document.Hash {
	seen := make(map[document.Hash]bool, len(b.passages))
	for _, hash := range known {
		seen[hash] = true
	}
	var hashes []document.Hash
	for _, place := range b.places {
		if !seen[place.Hash] {
			seen[place.Hash] = true
			hashes = append(hashes, place.Hash)
		}
	}
	return hashes
}

// store looks up, embeds and writes one batch. What another batch of this
// process is embedding already is waited for rather than sent again.
func (r *run) store(ctx context.Context, b *batch) error {
	bought := 0
	for {
		start := time.Now()
		known, err := r.step.Store.Known(ctx, r.work.Space, b.missing(nil))
		if err != nil {
			return fmt.Errorf("look up %d passages of %s: %w", len(b.passages), r.work.Key, err)
		}
		r.step.Metrics.ObserveStage("lookup", start)

		n, complete, err := r.buy(ctx, b, b.missing(known))
		bought += n
		if err != nil {
			return err
		}
		if complete {
			r.progress.embedded.Add(int64(bought))
			r.progress.reused.Add(int64(len(b.places) - bought))
			r.step.Metrics.ObservePassages(bought, len(b.places)-bought)
			r.step.Live.Report(ctx, r.work, r.progress.snapshot("streaming", r.work.Size))
			return nil
		}
	}
}

// buy embeds those of the missing passages that nobody else is embedding, and
// writes them; with their places if that makes the batch complete. Otherwise
// it waits for the others, and the batch has to be looked up again.
func (r *run) buy(ctx context.Context, b *batch, missing []document.Hash) (bought int, complete bool, err error) {
	wanted := make([]claim, len(missing))
	for i, hash := range missing {
		wanted[i] = claim{r.work.Tenant, r.work.Space.Model, hash}
	}
	mine, theirs := r.step.claims.take(wanted)
	err = func() error {
		defer r.step.claims.release(mine)
		fresh, err := r.embed(ctx, b, mine)
		if err != nil {
			return err
		}
		bought = len(fresh)
		complete, err = r.write(ctx, b, fresh, len(theirs) == 0)
		return err
	}()
	if err != nil || complete {
		return bought, complete, err
	}
	for _, holder := range theirs {
		select {
		case <-holder:
		case <-ctx.Done():
			return bought, false, ctx.Err()
		}
	}
	return bought, false, nil
}

// embed turns the claimed passages into vectors, in one request.
func (r *run) embed(ctx context.Context, b *batch, mine []claim) ([]document.Embedded, error) {
	if len(mine) == 0 {
		return nil, nil
	}
	start := time.Now()
	texts := make([]string, len(mine))
	for i, claim := range mine {
		texts[i] = b.passages[claim.hash].EmbeddingText()
	}
	vectors, err := r.step.Embedder.Embed(ctx, r.work.Space.Model, texts)
	if err != nil {
		return nil, fmt.Errorf("embed %d passages of %s: %w", len(texts), r.work.Key, err)
	}
	r.step.Metrics.ObserveStage("embed", start)
	fresh := make([]document.Embedded, len(mine))
	for i, claim := range mine {
		p := b.passages[claim.hash]
		fresh[i] = document.Embedded{
			Hash:        claim.hash,
			HeadingPath: p.HeadingPath(),
			Context:     p.Context,
			Content:     p.Content,
			Tokens:      p.Tokens,
			Vector:      vectors[i],
		}
	}
	return fresh, nil
}

// write stores fresh passages and, when all that the batch needs is there, its
// places. It reports whether the places were written: they are not when one of
// the reused passages was swept away since it was looked up. What was paid for
// is stored even then.
func (r *run) write(ctx context.Context, b *batch, fresh []document.Embedded, all bool) (complete bool, err error) {
	start := time.Now()
	if all {
		err := r.commit(ctx, document.Batch{New: fresh, Places: b.places})
		if !fault.Is(err, fault.Conflict) {
			r.step.Metrics.ObserveStage("write", start)
			return err == nil, err
		}
	}
	if len(fresh) == 0 {
		return false, nil
	}
	return false, r.commit(ctx, document.Batch{New: fresh})
}

func (r *run) commit(ctx context.Context, batch document.Batch) error {
	if err := r.step.Store.Write(ctx, r.work, batch, r.progress.snapshot("streaming", r.work.Size)); err != nil {
		return fmt.Errorf("write %d passages of %s: %w", len(batch.New), r.work.Key, err)
	}
	return nil
}
