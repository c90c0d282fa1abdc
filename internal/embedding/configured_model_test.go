package embedding_test

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-7a112592/gristmill/internal/embedding"
	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/provider"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// fakeEmbedder is a model that counts its requests, and takes a second for each.
type fakeEmbedder struct {
	dimensions int
	err        error
	times      atomic.Int64
}

func (a *fakeEmbedder) Embed(ctx context.Context, model document.Model, texts []string) ([][]float32, error) {
	a.times.Add(1)
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	switch {
	case a.err != nil:
		return nil, a.err
	case model.Dimensions != 0 && model.Dimensions != a.dimensions:
		wrong := &provider.DimensionsError{Model: model, Got: a.dimensions}
		return nil, fault.Wrap(fault.Misconfigured, wrong, "%v", wrong)
	}
	return [][]float32{make([]float32, a.dimensions)}, nil
}

func configured(t *testing.T, model *fakeEmbedder, dimensions int) *embedding.ConfiguredModel {
	t.Helper()
	c, err := embedding.NewConfiguredModel(embedding.ConfiguredModelConfig{
		Embedder: model, Setting: document.Model{Name: "m", Dimensions: dimensions}, Chunking: document.Chunking{Tokens: 400},
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDimensionsAreProbedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, dimensions := range []int{0, 48} {
			model := &fakeEmbedder{dimensions: 48}
			c := configured(t, model, dimensions)
			shortCtx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			if _, err := c.Model(shortCtx); err != context.DeadlineExceeded {
				t.Errorf("a caller that does not wait got %v", err)
			}
			cancel()
			for range 3 {
				c.StartProbe(t.Context())
			}
			for range 2 {
				if got, err := c.Model(t.Context()); err != nil || got != (document.Model{Name: "m", Dimensions: 48}) {
					t.Errorf("got %+v, %v; want 48 dimensions", got, err)
				}
			}
			synctest.Wait()
			if n := model.times.Load(); n != 1 || c.Check(t.Context()) != nil {
				t.Errorf("probed %d times, want once; %v", n, c.Check(t.Context()))
			}
		}
	})
}

// The error for wrong dimensions names the right ones. The model is probed again after a while, and
// the error is cleared when the dimensions are right.
func TestWrongDimensionsAreReported(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		model := &fakeEmbedder{dimensions: 48}
		c := configured(t, model, 64)
		for range 100 {
			_, err := c.Model(t.Context())
			if e := fault.As(err); e == nil || e.Kind != fault.Misconfigured || !strings.Contains(e.Detail, "GRISTMILL_EMBEDDING_DIMENSIONS=48") {
				t.Fatalf("got %v, want an error that names the right dimensions", err)
			}
		}
		if n := model.times.Load(); n != 1 || c.Check(t.Context()) == nil {
			t.Errorf("probed %d times, want once", n)
		}
		model.dimensions = 64
		<-time.After(time.Minute)        // fake clock
		if c.Check(t.Context()) == nil { // starts a probe
			t.Error("the error was cleared without a probe")
		}
		synctest.Wait()
		<-time.After(2 * time.Second) // fake clock
		if err := c.Check(t.Context()); err != nil {
			t.Errorf("the error was not cleared: %v", err)
		}
		if got, err := c.Model(t.Context()); err != nil || got.Dimensions != 64 {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}

// Tasks wait for a model that cannot be used, whatever the reason. A temporary failure keeps its
// kind.
func TestModelProbeFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for kind, want := range map[fault.Kind]fault.Kind{
			fault.InputRejected: fault.Misconfigured, fault.InputTooLong: fault.Misconfigured, fault.BadRequest: fault.Misconfigured,
			fault.Misconfigured: fault.Misconfigured, fault.Unavailable: fault.Unavailable, fault.RateLimited: fault.RateLimited,
		} {
			model := &fakeEmbedder{dimensions: 4, err: fault.New(kind, "the reason")}
			c := configured(t, model, 0)
			if _, err := c.Model(t.Context()); !fault.Is(err, want) || !strings.Contains(err.Error(), "the reason") {
				t.Errorf("%s: got %v, want %s", kind, err, want)
			}
			model.err = nil
			if got, err := c.Model(t.Context()); err != nil || got.Dimensions != 4 {
				t.Errorf("%s: after the failure got %+v, %v", kind, got, err)
			}
		}
		c := configured(t, &fakeEmbedder{dimensions: vector.MaxDimensions + 1}, 0)
		if _, err := c.Model(t.Context()); !fault.Is(err, fault.Misconfigured) {
			t.Errorf("more dimensions than can be stored: %v", err)
		}
	})
}

func TestCloseCancelsProbe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := configured(t, &fakeEmbedder{dimensions: 4}, 0)
		began := time.Now()
		c.StartProbe(t.Context())
		synctest.Wait()
		if err := c.Close(); err != nil || time.Since(began) > 0 {
			t.Errorf("closed after %s, %v; want immediately", time.Since(began), err)
		}
		if _, err := c.Model(t.Context()); err == nil {
			t.Error("a probe was sent after Close")
		}
	})
}
