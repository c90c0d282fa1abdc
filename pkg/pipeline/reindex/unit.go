package reindex

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/embedding"
	"github.com/seed-7a112592/gristmill/pkg/fault"
)

const (
	// maxParts bounds a unit of documents without passages.
	maxParts = 1000

	// patience is how long a provider's limit is waited for.
	patience = 10 * time.Second
)

// unit is passages of one document or several that are embedded and stored
// together. One is under way at a time, so that a crash costs no more than one.
type unit struct {
	texts  embedding.Texts
	places []document.RebuiltPlaces
	count  int // of places
	tokens int
	before struct{ texts, count, tokens int } // the document that was added last

	embedded int                   // passages of it, so far
	cut      map[document.Hash]int // how much of these is embedded, in bytes

	documents int64 // that end in it
	bytes     int64 // of these
	reached   uuid.UUID
}

// add adds a passage of a document.
func (u *unit) add(d document.Unplaced, passage document.Stored) {
	part := u.of(d)
	part.Places = append(part.Places, passage.Place)
	u.texts.Add(passage.Hash, passage.Text)
	u.count++
	u.tokens += passage.Tokens
}

// end notes that all of a document's passages, so many, have been added.
// Ordered says that so have all documents before it.
func (u *unit) end(d document.Unplaced, count int64, ordered bool) {
	u.of(d).Whole = count
	u.documents++
	u.bytes += d.Size
	if ordered {
		u.reached = d.Document
	}
}

// drop takes back what was added of a document, which is the last one, if
// anything was: what is placed nowhere is not embedded either.
func (u *unit) drop(d document.Unplaced) {
	if n := len(u.places); n > 0 && u.places[n-1].Unplaced == d {
		u.places = u.places[:n-1]
		u.texts.Truncate(u.before.texts)
		u.count, u.tokens = u.before.count, u.before.tokens
	}
}

// of returns the places of a document, which is the last one in the unit.
func (u *unit) of(d document.Unplaced) *document.RebuiltPlaces {
	if n := len(u.places); n == 0 || u.places[n-1].Unplaced != d {
		u.places = append(u.places, document.RebuiltPlaces{Unplaced: d, Whole: -1})
		u.before.texts, u.before.count, u.before.tokens = u.texts.Len(), u.count, u.tokens
	}
	return &u.places[len(u.places)-1]
}

// flushFull stores the unit if it is full.
func (b *builder) flushFull(ctx context.Context) error {
	requests := max(b.step.Requests, 1)
	if b.unit.count < b.step.BatchPassages*requests && b.unit.tokens < b.step.BatchTokens*requests && len(b.unit.places) < maxParts {
		return nil
	}
	return b.flush(ctx)
}

// flush gets the unit embedded and stored. There are many units, so what is
// likely to pass soon is waited for here and costs no attempt.
func (b *builder) flush(ctx context.Context) error {
	if len(b.unit.places) == 0 && b.unit.reached == uuid.Nil {
		return nil
	}
	u := b.unit
	b.unit = &unit{}
	for broken := 0; ; {
		err := b.store(ctx, u)
		if err == nil {
			break
		}
		f := fault.As(err)
		refused, some := errors.AsType[*embedding.RefusedError](err)
		switch {
		case some && refused.Untried == 0:
			b.leaveOut(ctx, u, refused)
		case fault.Is(err, fault.RateLimited) && f.RetryAfter <= patience:
			select {
			case <-time.After(max(f.RetryAfter, time.Second)):
			case <-ctx.Done():
				return ctx.Err()
			}
		case fault.Is(err, fault.BrokenAnswer) && broken < maxTries-1:
			broken++
		default:
			return fmt.Errorf("build space %d: %w", b.to.ID, err)
		}
	}
	for _, part := range u.places {
		if part.Whole >= 0 {
			delete(b.warnings, part.Unplaced)
		}
	}
	b.progress = u.countIn(b.progress)
	b.step.Metrics.ObservePassages(u.embedded, u.count-u.embedded)
	b.step.Live.Changed(ctx, b.work.Job)
	return nil
}

// store gets the unit embedded and stored. What of it was embedded is stored
// even if the rest could not be.
func (b *builder) store(ctx context.Context, u *unit) error {
	_, err := b.buyer.Buy(ctx, embedding.Order{
		Tenant: b.work.Tenant,
		Space:  b.to,
		Texts:  u.texts,
		Cut: func(hash document.Hash, bytes int) {
			if u.cut == nil {
				u.cut = map[document.Hash]int{}
			}
			u.cut[hash] = bytes
		},
		Write: func(ctx context.Context, fresh []document.Embedded, whole bool) error {
			rebuilt, progress := document.Rebuilt{New: fresh}, b.now()
			if whole {
				b.warnOfCut(u)
				rebuilt.Places, rebuilt.Reached = u.places, u.reached
				placed := *u
				placed.embedded += len(fresh)
				progress = placed.countIn(progress)
			}
			if err := b.step.Store.Place(ctx, b.work, rebuilt, progress); err != nil {
				return fmt.Errorf("write %d passages: %w", len(fresh), err)
			}
			u.embedded += len(fresh)
			return nil
		},
	})
	return err
}

// warnOfCut gives documents that end in the unit the warnings of all their
// passages, and keeps those of a document that does not.
func (b *builder) warnOfCut(u *unit) {
	for i := range u.places {
		part := &u.places[i]
		if len(part.Places) > 0 && part.Places[0].Ordinal == 0 {
			delete(b.warnings, part.Unplaced)
		}
		for _, place := range part.Places {
			bytes := u.cut[place.Hash]
			if bytes == 0 {
				continue
			}
			if b.warnings[part.Unplaced] == nil {
				b.warnings[part.Unplaced] = &document.WarningList{}
			}
			b.warnings[part.Unplaced].Add(document.Truncated(place, bytes, len(u.texts.Get(place.Hash).Embedding())))
		}
		if list := b.warnings[part.Unplaced]; list != nil && part.Whole >= 0 && part.LeftOut == "" {
			part.Warnings = list.All()
		}
	}
}

// countIn returns the progress with the unit.
func (u *unit) countIn(p document.ReindexProgress) document.ReindexProgress {
	p.DocumentsDone += u.documents
	p.BytesDone += u.bytes
	// There are more than at first, if some came to be missing meanwhile.
	p.Documents = max(p.Documents, p.DocumentsDone)
	p.Bytes = max(p.Bytes, p.BytesDone)
	p.Passages += int64(u.count)
	p.Embedded += int64(u.embedded)
	p.Reused += int64(u.count - u.embedded)
	return p
}
