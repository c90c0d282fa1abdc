package knowledge

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed-7a112592/gristmill/pkg/chunk"
	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/embedding"
	"github.com/seed-7a112592/gristmill/pkg/fault"
)

// batch is a run of passages that are looked up, embedded and written
// together. A passage that stands in it twice is embedded once.
type batch struct {
	places []document.Place
	texts  embedding.Texts
	tokens int
	whole  bool // it is all of the version, and goes to no other space
}

func (b *batch) add(p chunk.Passage) {
	place, text := p.Placed()
	b.places = append(b.places, place)
	b.texts.Add(place.Hash, text)
	b.tokens += p.Tokens
}

// store gets one batch embedded, written and placed in the target. In the live
// space passages that the model does not take are noted, and keep no other one
// from being embedded.
func (r *run) store(ctx context.Context, t *target, b *batch) error {
	written := 0 // of what was bought
	bought, err := r.buyer.Buy(ctx, embedding.Order{
		Tenant: t.work.Tenant,
		Space:  t.work.Space,
		Texts:  b.texts,
		Cut:    func(hash document.Hash, bytes int) { t.warnOfCut(b, hash, bytes) },
		Write: func(ctx context.Context, fresh []document.Embedded, whole bool) error {
			batch := document.Batch{New: fresh}
			if whole {
				batch.Places = b.places
			}
			var err error
			if whole && b.whole {
				r.published, err = r.writeAndPublish(ctx, t, batch, written+len(fresh))
			}
			if err == nil && !r.published {
				err = r.step.Store.Write(ctx, t.work, batch, r.snapshot("streaming"))
			}
			if err != nil {
				return fmt.Errorf("write %d passages: %w", len(fresh), err)
			}
			written += len(fresh)
			return nil
		},
	})
	if t.live {
		err = t.refused.add(b, t.work.Space.Model.Name, err)
	}
	if err != nil {
		return fmt.Errorf("passages of %s: %w", t.work.Key, remedied(t.work, err))
	}
	reused := len(b.places) - bought
	t.embedded.Add(int64(bought))
	t.reused.Add(int64(reused))
	r.step.Metrics.ObservePassages(bought, reused)
	return nil
}

// writeAndPublish writes a batch that is the whole version and makes it live.
// bought is the number of its passages that were embedded for it.
func (r *run) writeAndPublish(ctx context.Context, t *target, batch document.Batch, bought int) (published bool, err error) {
	final := r.snapshot("done")
	final.Passages, final.Embedded = int64(len(batch.Places)), int64(bought)
	final.Reused = final.Passages - final.Embedded
	return r.step.Store.WriteAndPublish(ctx, t.work, batch, final, t.warnings.All()...)
}

// warnOfCut warns of the passages of a batch of whose text the model takes only
// the beginning.
func (t *target) warnOfCut(b *batch, hash document.Hash, bytes int) {
	for _, place := range b.places {
		if place.Hash == hash {
			t.warnings.Add(document.Truncated(place, bytes, len(b.texts.Get(hash).Embedding())))
		}
	}
}

// remedied says what to do about a model whose vectors have another length by
// now than those that the collection holds.
func remedied(work document.Work, err error) error {
	wrong, ok := errors.AsType[*document.LengthError](err)
	if !ok {
		return err
	}
	return fault.Wrap(fault.Misconfigured, err,
		"%s, as collection %q has them: have the provider answer those again, or run: gristmill reindex --collection %s --model '%s' --dimensions %d",
		fault.As(err).Detail, work.Collection, work.Collection, wrong.Model.Name, wrong.Got)
}
