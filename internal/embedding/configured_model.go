package embedding

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/goroutine"
	"github.com/seed-7a112592/gristmill/internal/provider"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

const (
	// failureTTL is how long it is remembered that the setting is wrong.
	failureTTL = 30 * time.Second
)

// ConfiguredModel is the embedding model and chunking of collections that hold
// nothing yet. The provider is asked once how long the model's vectors are, when
// that is first needed, and however many need it.
type ConfiguredModel struct {
	Embedder Embedder
	Setting  document.Model // Dimensions is 0 where none are set
	Chunking document.Chunking
	Log      *slog.Logger

	calls callGroup[document.Model]

	mu       sync.Mutex
	model    document.Model // with its length; zero until it is known
	err      error          // why it is not known; nil before it was asked for
	failedAt time.Time      // of failed
}

// Model returns the model with the length of its vectors. It is
// fault.Misconfigured when the model cannot be used as it is configured, and
// says what to set.
func (c *ConfiguredModel) Model(ctx context.Context) (document.Model, error) {
	c.mu.Lock()
	model, failed, age := c.model, c.err, time.Since(c.failedAt)
	c.mu.Unlock()
	if model.Dimensions > 0 {
		return model, nil
	}
	if _, wrong := errors.AsType[*provider.DimensionsError](failed); wrong && age < failureTTL {
		return document.Model{}, failed
	}
	return c.calls.do(ctx, c.Setting.Name, c.probe)
}

// Close ends a request under way.
func (c *ConfiguredModel) Close() error {
	c.calls.close()
	return nil
}

// StartProbe begins to ask for the length if it is not known, and does not wait.
func (c *ConfiguredModel) StartProbe(ctx context.Context) {
	goroutine.Go(c.Log, "learn the length of vectors", func() { _, _ = c.Model(context.WithoutCancel(ctx)) }) // Check tells
}

// Check returns why the model cannot be used, nil where nothing is known against
// it. A failure is looked at again after a while.
func (c *ConfiguredModel) Check(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil && time.Since(c.failedAt) >= failureTTL {
		c.StartProbe(ctx)
	}
	return c.err
}

// probe asks the model for a vector and keeps what came of it.
func (c *ConfiguredModel) probe(ctx context.Context) (document.Model, error) {
	length, err := c.requestDimensions(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil && ctx.Err() != nil { // the process stops: that says nothing
		return document.Model{}, err
	}
	if err != nil {
		if c.err == nil || c.err.Error() != err.Error() {
			c.Log.WarnContext(ctx, "the configured embedding model cannot be used; collections that hold nothing wait for it", "model", c.Setting.Name, "reason", err)
		}
		c.err, c.failedAt = err, time.Now()
		return document.Model{}, err
	}
	c.model, c.err = document.Model{Name: c.Setting.Name, Dimensions: length}, nil
	c.Log.InfoContext(ctx, "the configured embedding model answers", "model", c.model.Name, "dimensions", length)
	return c.model, nil
}

// requestDimensions returns the length of the model's vectors.
func (c *ConfiguredModel) requestDimensions(ctx context.Context) (length int, err error) {
	vectors, err := c.Embedder.Embed(ctx, c.Setting, []string{provider.ProbeText})
	if err != nil {
		return 0, misconfiguredError(c.Setting, err)
	}
	if length = len(vectors[0]); length > vector.MaxDimensions {
		return 0, fault.New(fault.Misconfigured, "model %s answers vectors of %d dimensions, and at most %d can be stored: set GRISTMILL_EMBEDDING_MODEL to another one, or GRISTMILL_EMBEDDING_DIMENSIONS where the model can shorten them",
			c.Setting.Name, length, vector.MaxDimensions)
	}
	return length, nil
}

// misconfiguredError says what to set. Where the model takes no text at all, it is
// the wrong one.
func misconfiguredError(setting document.Model, err error) error {
	if wrong, ok := errors.AsType[*provider.DimensionsError](err); ok {
		return fault.Wrap(fault.Misconfigured, err, "%s: set GRISTMILL_EMBEDDING_DIMENSIONS=%d, or leave it unset to have the provider asked, and restart the programs",
			fault.As(err).Detail, wrong.Got)
	}
	switch f := fault.As(err); {
	case fault.Is(err, fault.InputRejected), fault.Is(err, fault.InputTooLong), fault.Is(err, fault.BadRequest), fault.Is(err, fault.Forbidden):
		return fault.Wrap(fault.Misconfigured, err, "embedding model %s cannot be used: %s", setting.Name, f.Detail)
	default:
		return fmt.Errorf("ask model %s for a vector: %w", setting.Name, err)
	}
}
