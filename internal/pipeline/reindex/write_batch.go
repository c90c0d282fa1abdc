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
	// maxBatchVersions bounds a unit of documents without passages.
	maxBatchVersions = 1000

	// maxRateLimitWait is how long a provider's limit is waited for.
	maxRateLimitWait = 10 * time.Second
)

// writeBatch is passages of one document or several that are embedded and stored
// together. One is under way at a time, so that a crash costs no more than one.
type writeBatch struct {
	texts      embedding.Texts
	versions   []rebuild.VersionWrite
	passages   int // of places
	tokens     int
	beforeLast struct{ texts, count, tokens int } // the document that was added last

	embedded  int                          // passages of it, so far
	truncated map[document.ContentHash]int // how much of these is embedded, in bytes

	documents int64 // that end in it
	bytes     int64 // of these
	reached   uuid.UUID
}

// addPassage adds a passage of a document.
func (u *writeBatch) addPassage(d rebuild.MissingVersion, passage vector.PassageAt) {
	part := u.versionPart(d)
	part.Entries = append(part.Entries, passage.ManifestEntry)
	u.texts.Add(passage.Hash, passage.PassageText)
	u.passages++
	u.tokens += passage.Tokens
}

// endVersion notes that all of a document's passages, so many, have been added.
// Ordered says that so have all documents before it.
func (u *writeBatch) endVersion(d rebuild.MissingVersion, count int64, ordered bool) {
	u.versionPart(d).TotalEntries = count
	u.documents++
	u.bytes += d.Size
	if ordered {
		u.reached = d.DocumentID
	}
}

// dropVersion takes back what was added of a document, which is the last one, if
// anything was: what is placed nowhere is not embedded either.
func (u *writeBatch) dropVersion(d rebuild.MissingVersion) {
	if n := len(u.versions); n > 0 && u.versions[n-1].MissingVersion == d {
		u.versions = u.versions[:n-1]
		u.texts.Truncate(u.beforeLast.texts)
		u.passages, u.tokens = u.beforeLast.count, u.beforeLast.tokens
	}
}

// versionPart returns the places of a document, which is the last one in the unit.
func (u *writeBatch) versionPart(d rebuild.MissingVersion) *rebuild.VersionWrite {
	if n := len(u.versions); n == 0 || u.versions[n-1].MissingVersion != d {
		u.versions = append(u.versions, rebuild.VersionWrite{MissingVersion: d, TotalEntries: -1})
		u.beforeLast.texts, u.beforeLast.count, u.beforeLast.tokens = u.texts.Len(), u.passages, u.tokens
	}
	return &u.versions[len(u.versions)-1]
}

// flushIfFull stores the unit if it is full.
func (b *spaceBuilder) flushIfFull(ctx context.Context) error {
	requests := max(b.step.ParallelRequests, 1)
	if b.pending.passages < b.step.BatchPassages*requests && b.pending.tokens < b.step.BatchTokens*requests && len(b.pending.versions) < maxBatchVersions {
		return nil
	}
	return b.flush(ctx)
}

// flush gets the unit embedded and stored. There are many units, so what is
// likely to pass soon is waited for here and costs no attempt.
func (b *spaceBuilder) flush(ctx context.Context) error {
	if len(b.pending.versions) == 0 && b.pending.reached == uuid.Nil {
		return nil
	}
	u := b.pending
	b.pending = &writeBatch{}
	for broken := 0; ; {
		err := b.storeBatch(ctx, u)
		if err == nil {
			break
		}
		f := fault.As(err)
		refused, some := errors.AsType[*embedding.RefusedError](err)
		switch {
		case some && refused.Untried == 0:
			b.leaveOutRefused(ctx, u, refused)
		case fault.Is(err, fault.RateLimited) && f.RetryAfter <= maxRateLimitWait:
			select {
			case <-time.After(max(f.RetryAfter, time.Second)):
			case <-ctx.Done():
				return ctx.Err()
			}
		case fault.Is(err, fault.InterruptedResponse) && broken < maxTries-1:
			broken++
		default:
			return fmt.Errorf("build space %d: %w", b.to.ID, err)
		}
	}
	for _, part := range u.versions {
		if part.TotalEntries >= 0 {
			delete(b.warnings, part.MissingVersion)
		}
	}
	b.progress = u.addToProgress(b.progress)
	b.step.Metrics.ObservePassages(u.embedded, u.passages-u.embedded)
	b.step.Changes.NotifyChange(ctx, b.work.JobID)
	return nil
}

// storeBatch gets the unit embedded and stored. What of it was embedded is stored
// even if the rest could not be.
func (b *spaceBuilder) storeBatch(ctx context.Context, u *writeBatch) error {
	_, err := b.step.cache.Ensure(ctx, embedding.EnsureRequest{
		Tenant: b.work.Tenant,
		Space:  b.to,
		Texts:  u.texts,
		OnTruncated: func(hash document.ContentHash, bytes int) {
			if u.truncated == nil {
				u.truncated = map[document.ContentHash]int{}
			}
			u.truncated[hash] = bytes
		},
		Write: func(ctx context.Context, fresh []vector.EmbeddedPassage, whole bool) error {
			rebuilt, progress := rebuild.SpaceWrite{New: fresh}, b.currentProgress()
			if whole {
				b.attachWarnings(u)
				rebuilt.Versions, rebuilt.Checkpoint = u.versions, u.reached
				placed := *u
				placed.embedded += len(fresh)
				progress = placed.addToProgress(progress)
			}
			if err := b.step.Store.WriteToSpace(ctx, b.work, rebuilt, progress); err != nil {
				return fmt.Errorf("write %d passages: %w", len(fresh), err)
			}
			u.embedded += len(fresh)
			return nil
		},
	})
	return err
}

// attachWarnings gives documents that end in the unit the warnings of all their
// passages, and keeps those of a document that does not.
func (b *spaceBuilder) attachWarnings(u *writeBatch) {
	for i := range u.versions {
		part := &u.versions[i]
		if len(part.Entries) > 0 && part.Entries[0].Ordinal == 0 {
			delete(b.warnings, part.MissingVersion)
		}
		for _, place := range part.Entries {
			bytes := u.truncated[place.Hash]
			if bytes == 0 {
				continue
			}
			if b.warnings[part.MissingVersion] == nil {
				b.warnings[part.MissingVersion] = &task.WarningCollector{}
			}
			b.warnings[part.MissingVersion].Add(vector.TruncationWarning(place, bytes, len(u.texts.Get(place.Hash).EmbeddingInput())))
		}
		if list := b.warnings[part.MissingVersion]; list != nil && part.TotalEntries >= 0 && part.LeftOutReason == "" {
			part.Warnings = list.All()
		}
	}
}

// addToProgress returns the progress with the unit.
func (u *writeBatch) addToProgress(p document.ReindexProgress) document.ReindexProgress {
	p.DocumentsDone += u.documents
	p.BytesDone += u.bytes
	// There are more than at first, if some came to be missing meanwhile.
	p.Documents = max(p.Documents, p.DocumentsDone)
	p.Bytes = max(p.Bytes, p.BytesDone)
	p.Passages += int64(u.passages)
	p.Embedded += int64(u.embedded)
	p.Reused += int64(u.passages - u.embedded)
	return p
}
