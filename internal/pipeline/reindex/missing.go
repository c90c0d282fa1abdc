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

// addMissing places what is missing until nothing is, and returns how many
// documents that were. It begins behind what earlier attempts have done, and
// ends when from the very first document on it finds nothing.
func (b *spaceBuilder) addMissing(ctx context.Context) (missing int, err error) {
	var last rebuild.MissingVersion // the first that was missing the last time
	for tries := 0; ; {
		after := b.reached
		first, n, err := b.addMissingAfter(ctx, after)
		if err != nil {
			return missing, err
		}
		b.reached, b.contiguous = uuid.Nil, false
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

// addMissingAfter places what is missing after a document. It returns how many documents
// that were, and the first of them.
func (b *spaceBuilder) addMissingAfter(ctx context.Context, after uuid.UUID) (first rebuild.MissingVersion, n int, err error) {
	for {
		page, err := b.step.Store.MissingVersions(ctx, b.work, after, pageSize)
		if err != nil {
			return first, n, fmt.Errorf("look for documents that are missing in space %d: %w", b.to.ID, err)
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

// addVersion adds a document to the unit, and stores the unit whenever it is full.
// While the chunking stays as it is that takes the passages that the live space
// has. What is damaged there is cut from its original, and so is what has no
// passages there: that may be why. A document whose original is gone or damaged
// is left for the next look, since it may have been deleted or restored meanwhile,
// and then left out.
func (b *spaceBuilder) addVersion(ctx context.Context, d rebuild.MissingVersion) error {
	var count int64
	var lost, err error
	if b.from.Chunking == b.to.Chunking {
		count, lost, err = b.addPassages(ctx, d, b.storedPassages(ctx, d))
	}
	if lost != nil {
		b.step.Log.WarnContext(ctx, "document is damaged in the live space; cutting its original", "document", d.DocumentID, "key", d.Key, "error", lost)
	}
	if err == nil && (lost != nil || count == 0) {
		b.pending.dropVersion(d)
		count, lost, err = b.addPassages(ctx, d, b.originalPassages(ctx, d))
	}
	switch {
	case err != nil:
		return err
	case lost != nil && b.readErrors[d] == nil:
		b.pending.dropVersion(d)
		b.readErrors[d] = lost
		return nil
	case lost != nil:
		b.pending.dropVersion(d)
		b.leaveOutUnreadable(ctx, d, lost)
		return b.flushIfFull(ctx)
	case b.leftOut[d]:
		delete(b.leftOut, d)
		b.pending.dropVersion(d)
		b.pending.documents++
		b.pending.bytes += d.Size
		if b.contiguous {
			b.pending.reached = d.DocumentID
		}
		return nil
	default:
		b.pending.endVersion(d, count, b.contiguous)
		return b.flushIfFull(ctx)
	}
}

// addPassages adds passages of a document to the unit, and returns how many; no more of
// one that is left out. Lost is why there are no more of them where they come
// from.
func (b *spaceBuilder) addPassages(ctx context.Context, d rebuild.MissingVersion, passages iter.Seq2[vector.PassageAt, error]) (count int64, lost, err error) {
	for passage, err := range passages {
		switch {
		case original.IsLost(err):
			return count, err, nil
		case err != nil:
			return count, nil, fmt.Errorf("passages of %s version %d: %w", d.Key, d.Version, err)
		}
		count++
		if b.leftOut[d] { // a passage before this one is refused
			return count, nil, nil
		}
		b.pending.addPassage(d, passage)
		if err := b.flushIfFull(ctx); err != nil {
			return count, nil, err
		}
	}
	return count, nil, nil
}

// stuckError says why a document is missing however often it is placed.
func (b *spaceBuilder) stuckError(d rebuild.MissingVersion) error {
	return fmt.Errorf("document %s version %d was placed in space %d %d times and is still missing there", d.DocumentID, d.Version, b.to.ID, maxTries)
}
