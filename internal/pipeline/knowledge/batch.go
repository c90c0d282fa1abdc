package knowledge

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed-7a112592/gristmill/internal/embedding"
	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/provider"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/chunk"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// batch is a run of passages that are looked up, embedded and written
// together. A passage that stands in it twice is embedded once.
type batch struct {
	entries      []vector.ManifestEntry
	texts        embedding.Texts
	tokens       int
	wholeVersion bool // it is all of the version, and goes to no other space
}

func (b *batch) add(p chunk.Passage) {
	place, text := vector.NewManifestEntry(p.Ordinal, p.Start, p.End, p.PassageText), p.PassageText
	b.entries = append(b.entries, place)
	b.texts.Add(place.Hash, text)
	b.tokens += p.Tokens
}

// storeInTarget gets one batch embedded, written and placed in the target. In the live
// space passages that the model does not take are noted, and keep no other one
// from being embedded.
func (r *attempt) storeInTarget(ctx context.Context, t *target, b *batch) error {
	written := 0 // of what was bought
	bought, err := r.step.cache.Ensure(ctx, embedding.EnsureRequest{
		Tenant:      t.work.Tenant,
		Space:       t.work.Space,
		Texts:       b.texts,
		OnTruncated: func(hash document.ContentHash, bytes int) { t.warnTruncated(b, hash, bytes) },
		Write: func(ctx context.Context, fresh []vector.EmbeddedPassage, whole bool) error {
			batch := vector.Batch{New: fresh}
			if whole {
				batch.Entries = b.entries
			}
			var err error
			if whole && b.wholeVersion {
				r.published, err = r.writeAndPublish(ctx, t, batch, written+len(fresh))
			}
			if err == nil && !r.published {
				err = r.step.Store.WriteBatch(ctx, t.work, batch, r.progressAt("streaming"))
			}
			if err != nil {
				return fmt.Errorf("write %d passages: %w", len(fresh), err)
			}
			written += len(fresh)
			return nil
		},
	})
	if t.active {
		err = t.refused.add(b, t.work.Space.Model.Name, err)
	}
	if err != nil {
		return fmt.Errorf("passages of %s: %w", t.work.Key, withRemedy(t.work, err))
	}
	reused := len(b.entries) - bought
	t.embedded.Add(int64(bought))
	t.reused.Add(int64(reused))
	r.step.Metrics.ObservePassages(bought, reused)
	return nil
}

// writeAndPublish writes a batch that is the whole version and makes it live.
// bought is the number of its passages that were embedded for it.
func (r *attempt) writeAndPublish(ctx context.Context, t *target, batch vector.Batch, bought int) (published bool, err error) {
	final := r.progressAt("done")
	final.Passages, final.Embedded = int64(len(batch.Entries)), int64(bought)
	final.Reused = final.Passages - final.Embedded
	return r.step.Store.WriteAndPublish(ctx, t.work, batch, final, t.warnings.All()...)
}

// warnTruncated warns of the passages of a batch of whose text the model takes only
// the beginning.
func (t *target) warnTruncated(b *batch, hash document.ContentHash, bytes int) {
	for _, place := range b.entries {
		if place.Hash == hash {
			t.warnings.Add(vector.TruncationWarning(place, bytes, len(b.texts.Get(hash).EmbeddingInput())))
		}
	}
}

// withRemedy says what to do about a model whose vectors have another length by
// now than those that the collection holds.
func withRemedy(work task.Work, err error) error {
	wrong, ok := errors.AsType[*provider.DimensionsError](err)
	if !ok {
		return err
	}
	return fault.Wrap(fault.Misconfigured, err,
		"%s, as collection %q has them: have the provider answer those again, or run: gristmill reindex --collection %s --model '%s' --dimensions %d",
		fault.As(err).Detail, work.Collection, work.Collection, wrong.Model.Name, wrong.Got)
}
