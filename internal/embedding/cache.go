// Package embedding embeds passages and pays for each vector once: concurrent batches and processes
// share the vectors that are in flight, and vectors of a request that fails in part are kept.
package embedding

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/required"
	"github.com/seed-7a112592/gristmill/internal/telemetry"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Embedder turns texts into vectors in one provider request: one vector for each text, in the order
// of the texts. It checks the answer: count, order, dimensions, finite numbers. Vectors have the
// dimensions that the model names, or any dimensions if it names none; other dimensions are a
// *provider.DimensionsError. If the provider returns valid vectors for some of the texts only,
// Embed returns them, with nil for the other texts, together with a *provider.InvalidVectorsError.
// Embed waits while too many requests are in flight.
type Embedder interface {
	Embed(ctx context.Context, model document.Model, texts []string) ([][]float32, error)
}

// Store knows which passages have vectors. storetest.Store states the contract.
type Store interface {
	ReusePassages(ctx context.Context, space vector.Space, hashes []document.ContentHash) (map[document.ContentHash]int, error)
}

// CacheConfig is what a cache needs.
type CacheConfig struct {
	Store    Store
	Embedder Embedder
	Process  *ProcessState
	Metrics  *telemetry.Metrics

	BatchPassages int // maximum in one provider request
	BatchTokens   int // target for one provider request
	MaxInFlight   int `zero:"ok"` // provider requests of one EnsureRequest; 0 means one
}

// Cache ensures that passages are stored with their vectors: it looks passages up, and embeds and
// writes those that are missing. It is safe for concurrent use.
type Cache struct{ CacheConfig }

// NewCache returns a cache, or an error that names what config lacks.
func NewCache(config CacheConfig) (*Cache, error) {
	if err := required.Fields(config); err != nil {
		return nil, err
	}
	return &Cache{config}, nil
}

// EnsureRequest lists texts that must be in a space with their vectors.
type EnsureRequest struct {
	Tenant string
	Space  vector.Space
	Texts  Texts

	// Write stores the embedded passages. If complete is true, all texts of the request are in the
	// space after the write. Write returns fault.Conflict, and writes nothing, if some of the other
	// texts have been deleted from the space.
	Write func(ctx context.Context, fresh []vector.EmbeddedPassage, complete bool) error

	// OnTruncated, if not nil, is called for each text of which only the first bytes are embedded,
	// whether its vector was stored or is new. It may be called twice for one text.
	OnTruncated func(hash document.ContentHash, bytes int)
}

// writeAfterFailureTimeout bounds the write of paid vectors after the task's context has ended.
const writeAfterFailureTimeout = time.Second

// Ensure looks up, embeds and writes the texts of req, and returns how many of them were embedded
// rather than found in the store. It waits for texts that another request embeds, in this process
// or another, instead of sending them twice. If a provider request fails, or texts are refused
// (*RefusedError), Ensure writes the vectors of the other provider requests before it returns the
// error. It retries a write that fails because the database cannot be used.
func (c *Cache) Ensure(ctx context.Context, req EnsureRequest) (embedded int, err error) {
	for {
		n, complete, wait, err := c.ensureOnce(ctx, req)
		embedded += n
		if err != nil || complete {
			return embedded, err
		}
		if err := wait(ctx); err != nil {
			return embedded, err
		}
	}
}

// ensureOnce embeds the texts that no other request embeds. wait returns when it is time to try the
// other texts.
func (c *Cache) ensureOnce(ctx context.Context, req EnsureRequest) (embedded int, complete bool, wait func(context.Context) error, err error) {
	acquired := c.Process.locks.acquire(ctx, req.keys())
	defer c.Process.locks.release(ctx, acquired.keys) // also after a panic
	stop := c.Process.locks.renew(ctx, acquired.keys)
	defer func() { err = errors.Join(err, stop()) }()
	embedded, complete, err = c.ensureLocked(ctx, req, acquired.keys, acquired.isComplete())
	return embedded, complete, acquired.waitForOthers, err
}

// ensureLocked embeds the locked texts that are not stored, and writes them; all says that every
// text of the request is locked. The lookup follows the locking, so that no other request can be
// embedding these texts: a request that embedded them has already written them.
func (c *Cache) ensureLocked(ctx context.Context, req EnsureRequest, locked []vectorKey, all bool) (embedded int, complete bool, err error) {
	missing, err := c.findMissing(ctx, req, locked)
	if err != nil {
		return 0, false, fmt.Errorf("look up %d passages: %w", len(locked), err)
	}
	fresh, missing := c.Process.findBuffered(req, missing)
	s := sender{Cache: c, req: req}
	answer, err := s.embed(ctx, missing)
	fresh = append(fresh, answer.embedded...)
	for _, e := range fresh {
		if e.EmbeddedBytes > 0 && req.OnTruncated != nil {
			req.OnTruncated(e.Hash, e.EmbeddedBytes)
		}
	}
	if err == nil && len(answer.refusals) > 0 {
		err = &RefusedError{answer.refusals, answer.untried}
	}
	if err == nil {
		complete, err = c.writeFresh(ctx, req, fresh, all)
		if err == nil || ctx.Err() == nil {
			return len(fresh), complete, err
		}
	}
	if unsaved := c.writeAfterFailure(ctx, req, fresh); unsaved != nil {
		err = fmt.Errorf("%w; %d embedded passages are not written yet and are kept in memory: %v", err, len(fresh), unsaved)
	}
	return len(fresh), false, err
}

// findMissing returns the locked hashes whose passages are not stored.
func (c *Cache) findMissing(ctx context.Context, req EnsureRequest, locked []vectorKey) ([]document.ContentHash, error) {
	if len(locked) == 0 {
		return nil, nil
	}
	start := time.Now()
	hashes := make([]document.ContentHash, len(locked))
	for i, key := range locked {
		hashes[i] = key.hash
	}
	known, err := c.Store.ReusePassages(ctx, req.Space, hashes)
	if err != nil {
		return nil, err
	}
	c.Metrics.ObserveStage("lookup", start)
	return slices.DeleteFunc(hashes, func(hash document.ContentHash) bool {
		bytes, stored := known[hash]
		if stored && bytes > 0 && req.OnTruncated != nil {
			req.OnTruncated(hash, bytes)
		}
		return stored
	}), nil
}

// writeFresh stores the new vectors, and completes the request if all its texts are locked. It
// reports whether the request is complete: it is not if a stored passage was deleted after the
// lookup. The new vectors are stored even then.
func (c *Cache) writeFresh(ctx context.Context, req EnsureRequest, fresh []vector.EmbeddedPassage, all bool) (complete bool, err error) {
	start := time.Now()
	if all {
		err := c.writeWithRetry(ctx, req, fresh, true)
		if !fault.Is(err, fault.Conflict) {
			c.Metrics.ObserveStage("write", start)
			return err == nil, err
		}
	}
	if len(fresh) == 0 {
		return false, nil
	}
	return false, c.writeWithRetry(ctx, req, fresh, false)
}

// writeWithRetry retries the write while the database cannot be used, and then drops the written
// vectors from memory.
func (c *Cache) writeWithRetry(ctx context.Context, req EnsureRequest, fresh []vector.EmbeddedPassage, complete bool) error {
	err := c.Process.writeBreaker.RetryWrite(ctx, func(ctx context.Context) error { return req.Write(ctx, fresh, complete) })
	if err == nil {
		c.Process.dropBuffered(req, fresh)
	}
	return err
}

// writeAfterFailure stores paid vectors although the request has failed or its context has ended.
// Vectors that cannot be stored now stay in memory.
func (c *Cache) writeAfterFailure(ctx context.Context, req EnsureRequest, fresh []vector.EmbeddedPassage) error {
	if len(fresh) == 0 {
		return nil
	}
	if ctx.Err() != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), writeAfterFailureTimeout)
		defer cancel()
	}
	return c.writeWithRetry(ctx, req, fresh, false)
}
