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
	"github.com/seed-7a112592/gristmill/internal/required"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

const (
	// failureTTL is how long a wrong configuration is remembered before the provider is asked
	// again.
	failureTTL = 30 * time.Second
)

// ConfiguredModelConfig is what a ConfiguredModel needs.
type ConfiguredModelConfig struct {
	Embedder Embedder
	Setting  document.Model // Dimensions is 0 if not configured
	Chunking document.Chunking
	Log      *slog.Logger
}

// ConfiguredModel is the configured embedding model and chunking, which empty collections adopt.
// The first caller that needs the dimensions of the model's vectors asks the provider; concurrent
// callers share that request.
type ConfiguredModel struct {
	ConfiguredModelConfig

	calls callGroup[document.Model]

	mu       sync.Mutex
	model    document.Model // with its dimensions; zero until they are known
	err      error          // why they are not known; nil before the first probe
	failedAt time.Time      // time of err
}

// NewConfiguredModel returns a ConfiguredModel, or an error that names what config lacks. Callers
// must close it.
func NewConfiguredModel(config ConfiguredModelConfig) (*ConfiguredModel, error) {
	if err := required.Fields(config); err != nil {
		return nil, err
	}
	return &ConfiguredModel{ConfiguredModelConfig: config}, nil
}

// Model returns the model with the dimensions of its vectors. It returns fault.Misconfigured if the
// model cannot be used as configured; the detail says what to set.
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

// Close cancels a running probe.
func (c *ConfiguredModel) Close() error {
	c.calls.close()
	return nil
}

// StartProbe starts to ask for the dimensions if they are not known, and does not wait for the
// answer.
func (c *ConfiguredModel) StartProbe(ctx context.Context) {
	goroutine.Go(c.Log, "probe the embedding model", func() { _, _ = c.Model(context.WithoutCancel(ctx)) }) // Check reports the error
}

// Check returns why the model cannot be used, or nil if no failure is known. After failureTTL it
// starts another probe.
func (c *ConfiguredModel) Check(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil && time.Since(c.failedAt) >= failureTTL {
		c.StartProbe(ctx)
	}
	return c.err
}

// probe asks the model for a vector and remembers the result.
func (c *ConfiguredModel) probe(ctx context.Context) (document.Model, error) {
	dimensions, err := c.requestDimensions(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil && ctx.Err() != nil { // the process stops: this says nothing about the model
		return document.Model{}, err
	}
	if err != nil {
		if c.err == nil || c.err.Error() != err.Error() {
			c.Log.WarnContext(ctx, "the configured embedding model cannot be used; empty collections wait for it", "model", c.Setting.Name, "reason", err)
		}
		c.err, c.failedAt = err, time.Now()
		return document.Model{}, err
	}
	c.model, c.err = document.Model{Name: c.Setting.Name, Dimensions: dimensions}, nil
	c.Log.InfoContext(ctx, "the configured embedding model answers", "model", c.model.Name, "dimensions", dimensions)
	return c.model, nil
}

// requestDimensions returns the dimensions of the model's vectors.
func (c *ConfiguredModel) requestDimensions(ctx context.Context) (dimensions int, err error) {
	vectors, err := c.Embedder.Embed(ctx, c.Setting, []string{provider.ProbeText})
	if err != nil {
		return 0, misconfiguredError(c.Setting, err)
	}
	if dimensions = len(vectors[0]); dimensions > vector.MaxDimensions {
		return 0, fault.New(fault.Misconfigured, "model %s returns vectors of %d dimensions, but at most %d can be stored: set GRISTMILL_EMBEDDING_MODEL to another model, or GRISTMILL_EMBEDDING_DIMENSIONS if the model can shorten its vectors",
			c.Setting.Name, dimensions, vector.MaxDimensions)
	}
	return dimensions, nil
}

// misconfiguredError says what to set. A model that takes no text at all is the wrong model.
func misconfiguredError(setting document.Model, err error) error {
	if wrong, ok := errors.AsType[*provider.DimensionsError](err); ok {
		return fault.Wrap(fault.Misconfigured, err, "%s: set GRISTMILL_EMBEDDING_DIMENSIONS=%d, or unset it so that the provider is asked, and restart the programs",
			fault.As(err).Detail, wrong.Got)
	}
	switch f := fault.As(err); {
	case fault.Is(err, fault.InputRejected), fault.Is(err, fault.InputTooLong), fault.Is(err, fault.BadRequest), fault.Is(err, fault.Forbidden):
		return fault.Wrap(fault.Misconfigured, err, "embedding model %s cannot be used: %s", setting.Name, f.Detail)
	default:
		return fmt.Errorf("ask model %s for a vector: %w", setting.Name, err)
	}
}
