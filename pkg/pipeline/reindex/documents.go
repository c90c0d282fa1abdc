package reindex

import (
	"context"
	"fmt"
	"iter"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/original"
)

// documents places what is missing until nothing is, and returns how many
// documents that were. It begins behind what earlier attempts have done, and
// ends when from the very first document on it finds nothing.
func (b *builder) documents(ctx context.Context) (missing int, err error) {
	var last document.Unplaced // the first that was missing the last time
	for tries := 0; ; {
		after := b.reached
		first, n, err := b.pass(ctx, after)
		if err != nil {
			return missing, err
		}
		b.reached, b.ordered = uuid.Nil, false
		if n == 0 && after == uuid.Nil {
			return missing, nil
		}
		missing += n
		if first != last {
			tries = 0
		}
		if tries++; n > 0 && tries == maxTries {
			return missing, b.stuck(first)
		}
		last = first
	}
}

// pass places what is missing after a document. It returns how many documents
// that were, and the first of them.
func (b *builder) pass(ctx context.Context, after uuid.UUID) (first document.Unplaced, n int, err error) {
	for {
		page, err := b.step.Store.Unplaced(ctx, b.work, after, pageSize)
		if err != nil {
			return first, n, fmt.Errorf("look for documents that are missing in space %d: %w", b.to.ID, err)
		}
		if n == 0 && len(page) > 0 {
			first = page[0]
			if err := b.enter(ctx, document.StageDocuments); err != nil {
				return first, n, err
			}
		}
		for _, d := range page {
			if err := b.place(ctx, d); err != nil {
				return first, n, err
			}
			after = d.Document
		}
		n += len(page)
		if len(page) < pageSize {
			return first, n, b.flush(ctx)
		}
	}
}

// place adds a document to the unit, and stores the unit whenever it is full.
// While the chunking stays as it is that takes the passages that the live space
// has. What is damaged there is cut from its original, and so is what has no
// passages there: that may be why. A document whose original is gone or damaged
// is left for the next look, since it may have been deleted or restored meanwhile,
// and then left out.
func (b *builder) place(ctx context.Context, d document.Unplaced) error {
	var count int64
	var lost, err error
	if b.from.Chunking == b.to.Chunking {
		count, lost, err = b.add(ctx, d, b.stored(ctx, d))
	}
	if lost != nil {
		b.step.Log.WarnContext(ctx, "document is damaged in the live space; cutting its original", "document", d.Document, "key", d.Key, "error", lost)
	}
	if err == nil && (lost != nil || count == 0) {
		b.unit.drop(d)
		count, lost, err = b.add(ctx, d, b.cut(ctx, d))
	}
	switch {
	case err != nil:
		return err
	case lost != nil && b.lost[d] == nil:
		b.unit.drop(d)
		b.lost[d] = lost
		return nil
	case lost != nil:
		b.unit.drop(d)
		b.leaveOutLost(ctx, d, lost)
		return b.flushFull(ctx)
	case b.leftOut[d]:
		delete(b.leftOut, d)
		b.unit.drop(d)
		b.unit.documents++
		b.unit.bytes += d.Size
		if b.ordered {
			b.unit.reached = d.Document
		}
		return nil
	default:
		b.unit.end(d, count, b.ordered)
		return b.flushFull(ctx)
	}
}

// add adds passages of a document to the unit, and returns how many; no more of
// one that is left out. Lost is why there are no more of them where they come
// from.
func (b *builder) add(ctx context.Context, d document.Unplaced, passages iter.Seq2[document.Stored, error]) (count int64, lost, err error) {
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
		b.unit.add(d, passage)
		if err := b.flushFull(ctx); err != nil {
			return count, nil, err
		}
	}
	return count, nil, nil
}

// stuck says why a document is missing however often it is placed.
func (b *builder) stuck(d document.Unplaced) error {
	return fmt.Errorf("document %s version %d was placed in space %d %d times and is still missing there", d.Document, d.Version, b.to.ID, maxTries)
}
