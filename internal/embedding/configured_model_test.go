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

// fakeEmbedder is a model that counts how often it was asked, and takes a second.
type fakeEmbedder struct {
	length int
	err    error
	times  atomic.Int64
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
	case model.Dimensions != 0 && model.Dimensions != a.length:
		wrong := &provider.DimensionsError{Model: model, Got: a.length}
		return nil, fault.Wrap(fault.Misconfigured, wrong, "%v", wrong)
	}
	return [][]float32{make([]float32, a.length)}, nil
}

func configured(t *testing.T, model *fakeEmbedder, dimensions int) *embedding.ConfiguredModel {
	c := &embedding.ConfiguredModel{
		Embedder: model, Setting: document.Model{Name: "m", Dimensions: dimensions},
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	return c
}

func TestLengthIsAskedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, dimensions := range []int{0, 48} {
			model := &fakeEmbedder{length: 48}
			c := configured(t, model, dimensions)
			hasty, leave := context.WithTimeout(t.Context(), time.Millisecond)
			if _, err := c.Model(hasty); err != context.DeadlineExceeded {
				t.Errorf("one who cannot wait got %v", err)
			}
			leave()
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
				t.Errorf("asked %d times, want once; %v", n, c.Check(t.Context()))
			}
		}
	})
}

// A length that is set and wrong is said with the right one, asked for seldom,
// and no longer said when the model has it.
func TestWrongLengthIsSaid(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		model := &fakeEmbedder{length: 48}
		c := configured(t, model, 64)
		for range 100 {
			_, err := c.Model(t.Context())
			if e := fault.As(err); e == nil || e.Kind != fault.Misconfigured || !strings.Contains(e.Detail, "GRISTMILL_EMBEDDING_DIMENSIONS=48") {
				t.Fatalf("got %v, want the right number", err)
			}
		}
		if n := model.times.Load(); n != 1 || c.Check(t.Context()) == nil {
			t.Errorf("asked %d times, want once", n)
		}
		model.length = 64
		<-time.After(time.Minute)        // of the bubble's clock
		if c.Check(t.Context()) == nil { // which has it asked again
			t.Error("said to be well, and was not asked")
		}
		synctest.Wait()
		<-time.After(2 * time.Second) // of the bubble's clock
		if err := c.Check(t.Context()); err != nil {
			t.Errorf("still said: %v", err)
		}
		if got, err := c.Model(t.Context()); err != nil || got.Dimensions != 64 {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}

// Work waits for a model that cannot be used, for whatever reason; what passes
// by itself keeps its kind.
func TestModelThatCannotBeLearnt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for kind, want := range map[fault.Kind]fault.Kind{
			fault.InputRejected: fault.Misconfigured, fault.InputTooLong: fault.Misconfigured, fault.BadRequest: fault.Misconfigured,
			fault.Misconfigured: fault.Misconfigured, fault.Unavailable: fault.Unavailable, fault.RateLimited: fault.RateLimited,
		} {
			model := &fakeEmbedder{length: 4, err: fault.New(kind, "said why")}
			c := configured(t, model, 0)
			if _, err := c.Model(t.Context()); !fault.Is(err, want) || !strings.Contains(err.Error(), "said why") {
				t.Errorf("%s: got %v, want %s", kind, err, want)
			}
			model.err = nil
			if got, err := c.Model(t.Context()); err != nil || got.Dimensions != 4 {
				t.Errorf("%s: afterwards got %+v, %v", kind, got, err)
			}
		}
		c := configured(t, &fakeEmbedder{length: vector.MaxDimensions + 1}, 0)
		if _, err := c.Model(t.Context()); !fault.Is(err, fault.Misconfigured) {
			t.Errorf("too long to be stored: %v", err)
		}
	})
}

func TestCloseEndsTheQuestion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := configured(t, &fakeEmbedder{length: 4}, 0)
		began := time.Now()
		c.StartProbe(t.Context())
		synctest.Wait()
		if err := c.Close(); err != nil || time.Since(began) > 0 {
			t.Errorf("closed after %s, %v; want at once", time.Since(began), err)
		}
		if _, err := c.Model(t.Context()); err == nil {
			t.Error("asked after it was closed")
		}
	})
}
