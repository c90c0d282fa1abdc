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

// batch is a batch of passages that are looked up, embedded and written together. A passage that is
// in it twice is embedded once.
type batch struct {
	entries      []vector.ManifestEntry
	texts        embedding.Texts
	tokens       int
	wholeVersion bool // it holds the whole version, and the version goes to no other space
}

func (b *batch) add(p chunk.Passage) {
	entry, text := vector.NewManifestEntry(p.Ordinal, p.Start, p.End, p.PassageText), p.PassageText
	b.entries = append(b.entries, entry)
	b.texts.Add(entry.Hash, text)
	b.tokens += p.Tokens
}

// storeInTarget embeds the new passages of a batch, and writes them with their manifest entries to the
// target. For the active space, passages that the model refuses are recorded; the others are still
// embedded.
func (r *attempt) storeInTarget(ctx context.Context, t *target, b *batch) error {
	written := 0 // number of embedded passages that are written
	embedded, err := r.step.cache.Ensure(ctx, embedding.EnsureRequest{
		Tenant:      t.work.Tenant,
		Space:       t.work.Space,
		Texts:       b.texts,
		OnTruncated: func(hash document.ContentHash, bytes int) { t.warnTruncated(b, hash, bytes) },
		Write: func(ctx context.Context, fresh []vector.EmbeddedPassage, complete bool) error {
			batch := vector.Batch{New: fresh}
			if complete {
				batch.Entries = b.entries
			}
			var err error
			if complete && b.wholeVersion {
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
	reused := len(b.entries) - embedded
	t.embedded.Add(int64(embedded))
	t.reused.Add(int64(reused))
	r.step.Metrics.ObservePassages(embedded, reused)
	return nil
}

// writeAndPublish writes a batch that holds the whole version, and publishes the version. embedded is
// the number of passages that were embedded for it.
func (r *attempt) writeAndPublish(ctx context.Context, t *target, batch vector.Batch, embedded int) (published bool, err error) {
	final := r.progressAt("done")
	final.Passages, final.Embedded = int64(len(batch.Entries)), int64(embedded)
	final.Reused = final.Passages - final.Embedded
	return r.step.Store.WriteAndPublish(ctx, t.work, batch, final, t.warnings.All()...)
}

// warnTruncated adds warnings about the passages of a batch that have the hash: their vectors cover
// only the given number of bytes.
func (t *target) warnTruncated(b *batch, hash document.ContentHash, bytes int) {
	for _, entry := range b.entries {
		if entry.Hash == hash {
			t.warnings.Add(vector.TruncationWarning(entry, bytes, len(b.texts.Get(hash).EmbeddingInput())))
		}
	}
}

// withRemedy adds to an error about wrong dimensions what to do: the model returns other dimensions
// than the vectors of the collection have.
func withRemedy(work task.Work, err error) error {
	wrong, ok := errors.AsType[*provider.DimensionsError](err)
	if !ok {
		return err
	}
	return fault.Wrap(fault.Misconfigured, err,
		"%s, which collection %q needs: make the provider return those again, or run: gristmill reindex --collection %s --model '%s' --dimensions %d",
		fault.As(err).Detail, work.Collection, work.Collection, wrong.Model.Name, wrong.Got)
}
