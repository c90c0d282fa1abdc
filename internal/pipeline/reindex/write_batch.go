package reindex

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/embedding"
	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/rebuild"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

const (
	// maxBatchVersions is the maximum number of versions in a batch; they may have no passages.
	maxBatchVersions = 1000

	// maxRateLimitWait is the longest wait for a provider's rate limit within an attempt.
	maxRateLimitWait = 10 * time.Second
)

// writeBatch is a batch of passages, of one or several versions, that are embedded and stored together.
// Only one is under way at a time, so that a crash costs at most one.
type writeBatch struct {
	texts      embedding.Texts
	versions   []rebuild.VersionWrite
	passages   int // number of entries
	tokens     int
	beforeLast struct{ texts, count, tokens int } // sizes without the last version

	embedded  int                          // number of its passages that are embedded so far
	truncated map[document.ContentHash]int // number of embedded bytes of truncated passages

	documents  int64     // number of versions that end in the batch
	bytes      int64     // size of their originals
	checkpoint uuid.UUID // the last of them that has no gap before it
}

// addPassage adds a passage of a version.
func (w *writeBatch) addPassage(d rebuild.MissingVersion, passage vector.PassageAt) {
	part := w.versionPart(d)
	part.Entries = append(part.Entries, passage.ManifestEntry)
	w.texts.Add(passage.Hash, passage.PassageText)
	w.passages++
	w.tokens += passage.Tokens
}

// endVersion says that all passages of a version, count of them, have been added. contiguous says
// that the same is true for all documents before it.
func (w *writeBatch) endVersion(d rebuild.MissingVersion, count int64, contiguous bool) {
	w.versionPart(d).TotalEntries = count
	w.documents++
	w.bytes += d.Size
	if contiguous {
		w.checkpoint = d.DocumentID
	}
}

// dropVersion removes the last version, if it is the given one, so that its passages are not embedded
// for nothing.
func (w *writeBatch) dropVersion(d rebuild.MissingVersion) {
	if n := len(w.versions); n > 0 && w.versions[n-1].MissingVersion == d {
		w.versions = w.versions[:n-1]
		w.texts.Truncate(w.beforeLast.texts)
		w.passages, w.tokens = w.beforeLast.count, w.beforeLast.tokens
	}
}

// versionPart returns the last version of the batch, which it adds if it is not the given one.
func (w *writeBatch) versionPart(d rebuild.MissingVersion) *rebuild.VersionWrite {
	if n := len(w.versions); n == 0 || w.versions[n-1].MissingVersion != d {
		w.versions = append(w.versions, rebuild.VersionWrite{MissingVersion: d, TotalEntries: -1})
		w.beforeLast.texts, w.beforeLast.count, w.beforeLast.tokens = w.texts.Len(), w.passages, w.tokens
	}
	return &w.versions[len(w.versions)-1]
}

// flushIfFull stores the pending batch if it is full.
func (b *spaceBuilder) flushIfFull(ctx context.Context) error {
	requests := max(b.step.ParallelRequests, 1)
	if b.pending.passages < b.step.BatchPassages*requests && b.pending.tokens < b.step.BatchTokens*requests && len(b.pending.versions) < maxBatchVersions {
		return nil
	}
	return b.flush(ctx)
}

// flush embeds and stores the pending batch. A reindex has many batches, so flush waits for a problem
// that will probably pass soon, which uses up no attempt.
func (b *spaceBuilder) flush(ctx context.Context) error {
	if len(b.pending.versions) == 0 && b.pending.checkpoint == uuid.Nil {
		return nil
	}
	w := b.pending
	b.pending = &writeBatch{}
	for interrupted := 0; ; {
		err := b.storeBatch(ctx, w)
		if err == nil {
			break
		}
		f := fault.As(err)
		refused, isRefused := errors.AsType[*embedding.RefusedError](err)
		switch {
		case isRefused && refused.Untried == 0:
			b.leaveOutRefused(ctx, w, refused)
		case fault.Is(err, fault.RateLimited) && f.RetryAfter <= maxRateLimitWait:
			select {
			case <-time.After(max(f.RetryAfter, time.Second)):
			case <-ctx.Done():
				return ctx.Err()
			}
		case fault.Is(err, fault.InterruptedResponse) && interrupted < maxTries-1:
			interrupted++
		default:
			return fmt.Errorf("build space %d: %w", b.to.ID, err)
		}
	}
	for _, part := range w.versions {
		if part.TotalEntries >= 0 {
			delete(b.warnings, part.MissingVersion)
		}
	}
	b.progress = w.addToProgress(b.progress)
	b.step.Metrics.ObservePassages(w.embedded, w.passages-w.embedded)
	b.step.Changes.NotifyChange(ctx, b.work.JobID)
	return nil
}

// storeBatch embeds and stores a batch. What was embedded is stored even if the rest fails.
func (b *spaceBuilder) storeBatch(ctx context.Context, w *writeBatch) error {
	_, err := b.step.cache.Ensure(ctx, embedding.EnsureRequest{
		Tenant: b.work.Tenant,
		Space:  b.to,
		Texts:  w.texts,
		OnTruncated: func(hash document.ContentHash, bytes int) {
			if w.truncated == nil {
				w.truncated = map[document.ContentHash]int{}
			}
			w.truncated[hash] = bytes
		},
		Write: func(ctx context.Context, fresh []vector.EmbeddedPassage, complete bool) error {
			write, progress := rebuild.SpaceWrite{New: fresh}, b.currentProgress()
			if complete {
				b.attachWarnings(w)
				write.Versions, write.Checkpoint = w.versions, w.checkpoint
				after := *w
				after.embedded += len(fresh)
				progress = after.addToProgress(progress)
			}
			if err := b.step.Store.WriteToSpace(ctx, b.work, write, progress); err != nil {
				return fmt.Errorf("write %d passages: %w", len(fresh), err)
			}
			w.embedded += len(fresh)
			return nil
		},
	})
	return err
}

// attachWarnings attaches the warnings about truncated passages to the versions that end in the batch,
// and keeps those of a version that does not end in it.
func (b *spaceBuilder) attachWarnings(w *writeBatch) {
	for i := range w.versions {
		part := &w.versions[i]
		if len(part.Entries) > 0 && part.Entries[0].Ordinal == 0 {
			delete(b.warnings, part.MissingVersion)
		}
		for _, entry := range part.Entries {
			bytes := w.truncated[entry.Hash]
			if bytes == 0 {
				continue
			}
			if b.warnings[part.MissingVersion] == nil {
				b.warnings[part.MissingVersion] = &task.WarningCollector{}
			}
			b.warnings[part.MissingVersion].Add(vector.TruncationWarning(entry, bytes, len(w.texts.Get(entry.Hash).EmbeddingInput())))
		}
		if list := b.warnings[part.MissingVersion]; list != nil && part.TotalEntries >= 0 && part.LeftOutReason == "" {
			part.Warnings = list.All()
		}
	}
}

// addToProgress returns the progress after the batch is stored.
func (w *writeBatch) addToProgress(p document.ReindexProgress) document.ReindexProgress {
	p.DocumentsDone += w.documents
	p.BytesDone += w.bytes
	// There are more documents than at first if some became missing meanwhile.
	p.Documents = max(p.Documents, p.DocumentsDone)
	p.Bytes = max(p.Bytes, p.BytesDone)
	p.Passages += int64(w.passages)
	p.Embedded += int64(w.embedded)
	p.Reused += int64(w.passages - w.embedded)
	return p
}
