package knowledge

import (
	"context"
	"fmt"
	"slices"
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

// hashes returns the hashes of the batch, each once, in the order of their
// places.
func (b *batch) hashes() []document.Hash {
	seen := make(map[document.Hash]bool, len(b.passages))
	hashes := make([]document.Hash, 0, len(b.passages))
	for _, place := range b.places {
		if !seen[place.Hash] {
			seen[place.Hash] = true
			hashes = append(hashes, place.Hash)
		}
	}
	return hashes
}

// store looks up, embeds and writes one batch. Passages that another batch is
// at, here or in another process, are waited for rather than sent twice.
func (r *run) store(ctx context.Context, b *batch) error {
	bought := 0
	for {
		mine, theirs := r.step.claims.take(ctx, r.step.Claims, r.claimsOf(b))
		stop := r.step.claims.keep(ctx, r.step.Claims, mine)
		n, complete, err := r.buy(ctx, b, mine, len(theirs) == 0)
		stop()
		r.step.claims.release(ctx, r.step.Claims, mine)
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
		for _, holder := range theirs {
			select {
			case <-holder:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

func (r *run) claimsOf(b *batch) []claim {
	hashes := b.hashes()
	claims := make([]claim, len(hashes))
	for i, hash := range hashes {
		claims[i] = claim{r.work.Tenant, r.work.Space.Model, hash}
	}
	return claims
}

// buy embeds those of the claimed passages that are not known, and writes
// them; with the places of the batch if all of it is claimed. It looks up only
// now that nobody else can be embedding them: whoever was has written them.
func (r *run) buy(ctx context.Context, b *batch, mine []claim, all bool) (bought int, complete bool, err error) {
	missing, err := r.missing(ctx, mine)
	if err != nil {
		return 0, false, fmt.Errorf("look up %d passages of %s: %w", len(mine), r.work.Key, err)
	}
	fresh, err := r.embed(ctx, b, missing)
	if err != nil {
		return 0, false, err
	}
	complete, err = r.write(ctx, b, fresh, all)
	return len(fresh), complete, err
}

// missing returns those of the claimed hashes whose passages are not known.
func (r *run) missing(ctx context.Context, mine []claim) ([]document.Hash, error) {
	if len(mine) == 0 {
		return nil, nil
	}
	start := time.Now()
	hashes := make([]document.Hash, len(mine))
	for i, claim := range mine {
		hashes[i] = claim.hash
	}
	known, err := r.step.Store.Known(ctx, r.work.Space, hashes)
	if err != nil {
		return nil, err
	}
	r.step.Metrics.ObserveStage("lookup", start)
	return slices.DeleteFunc(hashes, func(hash document.Hash) bool { return slices.Contains(known, hash) }), nil
}

// embed turns passages into vectors, in one request.
func (r *run) embed(ctx context.Context, b *batch, hashes []document.Hash) ([]document.Embedded, error) {
	if len(hashes) == 0 {
		return nil, nil
	}
	start := time.Now()
	texts := make([]string, len(hashes))
	for i, hash := range hashes {
		texts[i] = b.passages[hash].EmbeddingText()
	}
	vectors, err := r.step.Embedder.Embed(ctx, r.work.Space.Model, texts)
	if err != nil {
		return nil, fmt.Errorf("embed %d passages of %s: %w", len(texts), r.work.Key, err)
	}
	r.step.Metrics.ObserveStage("embed", start)
	fresh := make([]document.Embedded, len(hashes))
	for i, hash := range hashes {
		p := b.passages[hash]
		fresh[i] = document.Embedded{
			Hash:        hash,
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
