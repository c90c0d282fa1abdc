package reindex

import (
	"context"
	"fmt"
	"iter"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/rebuild"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// addMissing adds missing versions to the space until none is missing, and returns their number. It
// begins after the checkpoint of earlier attempts, and ends when a pass over all documents finds none.
func (b *spaceBuilder) addMissing(ctx context.Context) (missing int, err error) {
	var last rebuild.MissingVersion // the first missing version of the previous pass
	for tries := 0; ; {
		after := b.checkpoint
		first, n, err := b.addMissingAfter(ctx, after)
		if err != nil {
			return missing, err
		}
		b.checkpoint, b.contiguous = uuid.Nil, false
		if n == 0 && after == uuid.Nil {
			return missing, nil
		}
		missing += n
		if first != last {
			tries = 0
		}
		if tries++; n > 0 && tries == maxTries {
			return missing, b.stuckError(first)
		}
		last = first
	}
}

// addMissingAfter adds the missing versions of the documents that follow after. It returns their number
// and the first of them.
func (b *spaceBuilder) addMissingAfter(ctx context.Context, after uuid.UUID) (first rebuild.MissingVersion, n int, err error) {
	for {
		page, err := b.step.Store.MissingVersions(ctx, b.work, after, pageSize)
		if err != nil {
			return first, n, fmt.Errorf("list versions that are missing in space %d: %w", b.to.ID, err)
		}
		if n == 0 && len(page) > 0 {
			first = page[0]
			if err := b.setStage(ctx, document.StageDocuments); err != nil {
				return first, n, err
			}
		}
		for _, d := range page {
			if err := b.addVersion(ctx, d); err != nil {
				return first, n, err
			}
			after = d.DocumentID
		}
		n += len(page)
		if len(page) < pageSize {
			return first, n, b.flush(ctx)
		}
	}
}

// addVersion adds a version to the pending batch, and stores the batch when it is full. If the chunking
// stays the same, it uses the stored passages of the active space. If they are damaged, or there are
// none, which may be damage too, it splits the original. If the original is missing or damaged, the
// first pass skips the version, because it may have been deleted or restored meanwhile, and the next
// pass leaves it out.
func (b *spaceBuilder) addVersion(ctx context.Context, d rebuild.MissingVersion) error {
	var count int64
	var readErr, err error
	if b.from.Chunking == b.to.Chunking {
		count, readErr, err = b.addPassages(ctx, d, b.storedPassages(ctx, d))
	}
	if readErr != nil {
		b.step.Log.WarnContext(ctx, "document is damaged in the active space; splitting its original", "document", d.DocumentID, "key", d.Key, "error", readErr)
	}
	if err == nil && (readErr != nil || count == 0) {
		b.pending.dropVersion(d)
		count, readErr, err = b.addPassages(ctx, d, b.originalPassages(ctx, d))
	}
	switch {
	case err != nil:
		return err
	case readErr != nil && b.readErrors[d] == nil:
		b.pending.dropVersion(d)
		b.readErrors[d] = readErr
		return nil
	case readErr != nil:
		b.pending.dropVersion(d)
		b.leaveOutUnreadable(ctx, d, readErr)
		return b.flushIfFull(ctx)
	case b.leftOut[d]:
		delete(b.leftOut, d)
		b.pending.dropVersion(d)
		b.pending.documents++
		b.pending.bytes += d.Size
		if b.contiguous {
			b.pending.checkpoint = d.DocumentID
		}
		return nil
	default:
		b.pending.endVersion(d, count, b.contiguous)
		return b.flushIfFull(ctx)
	}
}

// addPassages adds passages of a version to the pending batch, and returns their number. It stops when
// the version is left out. readErr says that the source of the passages is missing or damaged.
func (b *spaceBuilder) addPassages(ctx context.Context, d rebuild.MissingVersion, passages iter.Seq2[vector.PassageAt, error]) (count int64, readErr, err error) {
	for passage, err := range passages {
		switch {
		case original.IsLost(err):
			return count, err, nil
		case err != nil:
			return count, nil, fmt.Errorf("passages of %s version %d: %w", d.Key, d.Version, err)
		}
		count++
		if b.leftOut[d] { // an earlier passage was refused
			return count, nil, nil
		}
		b.pending.addPassage(d, passage)
		if err := b.flushIfFull(ctx); err != nil {
			return count, nil, err
		}
	}
	return count, nil, nil
}

// stuckError returns the error for a version that is still missing after it was added several times.
func (b *spaceBuilder) stuckError(d rebuild.MissingVersion) error {
	return fmt.Errorf("document %s version %d was added to space %d %d times and is still missing there", d.DocumentID, d.Version, b.to.ID, maxTries)
}
