// Package embedding gets vectors for passages, and pays for none twice: not
// when another batch or process is after the same one, and not when a part of
// what was asked for fails.
package embedding

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/telemetry"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Embedder turns texts into vectors, one for each and in their order, in one
// request. What it returns has been checked: count, order, dimension, finite
// numbers. Vectors have the length that the model names, or any where it names
// none; another is a *document.LengthError. Where it has vectors for some of the
// texts only, it returns them, with nil for the others, beside a
// *document.VectorsError. It waits its turn when too many requests are in flight.
type Embedder interface {
	Embed(ctx context.Context, model document.Model, texts []string) ([][]float32, error)
}

// Store knows what is embedded; see storetest.Knowledge for the contract.
type Store interface {
	ReusePassages(ctx context.Context, space vector.Space, hashes []document.ContentHash) (map[document.ContentHash]int, error)
}

// Cache buys vectors. It may be used by many goroutines.
type Cache struct {
	Store    Store
	Embedder Embedder
	Process  *ProcessState
	Metrics  *telemetry.Metrics

	BatchPassages int // of one request, at most
	BatchTokens   int // of one request, about
	MaxInFlight   int // of one order in flight; 0 for one
}

// EnsureRequest asks for texts to be in a space with their vectors.
type EnsureRequest struct {
	Tenant string
	Space  vector.Space
	Texts  Texts

	// Write stores what was embedded. Whole says that with it all of the order
	// is in the space; fault.Conflict, with nothing written, when some of it is
	// not there any more.
	Write func(ctx context.Context, fresh []vector.EmbeddedPassage, whole bool) error

	// OnTruncated, where it is set, is told of texts of which only so many bytes are
	// embedded, whether they were known or are bought now. It may be told twice.
	OnTruncated func(hash document.ContentHash, bytes int)
}

// writeAfterFailureTimeout bounds keeping what was paid for when the task's context is over.
const writeAfterFailureTimeout = time.Second

// Ensure looks up, embeds and writes an order, and returns how many of its texts
// it had to embed. Those that another order is at, here or in another process,
// are waited for rather than sent twice. When a request fails, what others of
// the order brought is written before its error is returned; so it is when texts
// are refused, which is a *RefusedError. A write that fails because the database
// cannot be used is tried again for a while.
func (b *Cache) Ensure(ctx context.Context, order EnsureRequest) (bought int, err error) {
	for {
		n, whole, wait, err := b.ensureOnce(ctx, order)
		bought += n
		if err != nil || whole {
			return bought, err
		}
		if err := wait(ctx); err != nil {
			return bought, err
		}
	}
}

// ensureOnce buys what nobody else is at. Wait waits until it is time to try again for
// the rest.
func (b *Cache) ensureOnce(ctx context.Context, order EnsureRequest) (bought int, whole bool, wait func(context.Context) error, err error) {
	taken := b.Process.locks.acquire(ctx, order.keys())
	defer b.Process.locks.release(ctx, taken.keys) // a panic too
	stop := b.Process.locks.renew(ctx, taken.keys)
	defer func() { err = errors.Join(err, stop()) }()
	bought, whole, err = b.ensureLocked(ctx, order, taken.keys, taken.isComplete())
	return bought, whole, taken.waitForOthers, err
}

// ensureLocked embeds those of the claimed texts that are not known, and writes them;
// as the whole order if all of it is claimed. It looks up only now that nobody
// else can be embedding them: an order that did has written them.
func (b *Cache) ensureLocked(ctx context.Context, order EnsureRequest, mine []vectorKey, all bool) (bought int, whole bool, err error) {
	missing, err := b.findMissing(ctx, order, mine)
	if err != nil {
		return 0, false, fmt.Errorf("look up %d passages: %w", len(mine), err)
	}
	fresh, missing := b.Process.findBuffered(order, missing)
	s := sender{Cache: b, req: order}
	answer, err := s.embed(ctx, missing)
	fresh = append(fresh, answer.embedded...)
	for _, e := range fresh {
		if e.EmbeddedBytes > 0 && order.OnTruncated != nil {
			order.OnTruncated(e.Hash, e.EmbeddedBytes)
		}
	}
	if err == nil && len(answer.refusals) > 0 {
		err = &RefusedError{answer.refusals, answer.untried}
	}
	if err == nil {
		whole, err = b.writeFresh(ctx, order, fresh, all)
		if err == nil || ctx.Err() == nil {
			return len(fresh), whole, err
		}
	}
	if unsaved := b.writeAfterFailure(ctx, order, fresh); unsaved != nil {
		err = fmt.Errorf("%w; %d passages that were embedded are not written yet, and kept in memory: %v", err, len(fresh), unsaved)
	}
	return len(fresh), false, err
}

// findMissing returns those of the claimed hashes whose passages are not known.
func (b *Cache) findMissing(ctx context.Context, order EnsureRequest, mine []vectorKey) ([]document.ContentHash, error) {
	if len(mine) == 0 {
		return nil, nil
	}
	start := time.Now()
	hashes := make([]document.ContentHash, len(mine))
	for i, claim := range mine {
		hashes[i] = claim.hash
	}
	known, err := b.Store.ReusePassages(ctx, order.Space, hashes)
	if err != nil {
		return nil, err
	}
	b.Metrics.ObserveStage("lookup", start)
	return slices.DeleteFunc(hashes, func(hash document.ContentHash) bool {
		bytes, is := known[hash]
		if is && bytes > 0 && order.OnTruncated != nil {
			order.OnTruncated(hash, bytes)
		}
		return is
	}), nil
}

// writeFresh stores what is fresh, as the whole order when all that it needs is
// there. It reports whether it did: it does not when a passage that was known
// was swept away since it was looked up. What was paid for is stored even then.
func (b *Cache) writeFresh(ctx context.Context, order EnsureRequest, fresh []vector.EmbeddedPassage, all bool) (whole bool, err error) {
	start := time.Now()
	if all {
		err := b.writeWithRetry(ctx, order, fresh, true)
		if !fault.Is(err, fault.Conflict) {
			b.Metrics.ObserveStage("write", start)
			return err == nil, err
		}
	}
	if len(fresh) == 0 {
		return false, nil
	}
	return false, b.writeWithRetry(ctx, order, fresh, false)
}

// writeWithRetry writes for as long as the database cannot be used, and lets go of what
// is written.
func (b *Cache) writeWithRetry(ctx context.Context, order EnsureRequest, fresh []vector.EmbeddedPassage, whole bool) error {
	err := b.Process.writeBreaker.RetryWrite(ctx, func(ctx context.Context) error { return order.Write(ctx, fresh, whole) })
	if err == nil {
		b.Process.dropBuffered(order, fresh)
	}
	return err
}

// writeAfterFailure stores what was paid for, although the order has failed or its context
// is over. What cannot be stored now stays in memory.
func (b *Cache) writeAfterFailure(ctx context.Context, order EnsureRequest, fresh []vector.EmbeddedPassage) error {
	if len(fresh) == 0 {
		return nil
	}
	if ctx.Err() != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), writeAfterFailureTimeout)
		defer cancel()
	}
	return b.writeWithRetry(ctx, order, fresh, false)
}
