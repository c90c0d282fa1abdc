package embedding_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-7a112592/gristmill/internal/embedding"
	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// slowEmbedder is a model that takes ten seconds for each request.
type slowEmbedder struct{ fakeEmbedder }

func (c *slowEmbedder) Embed(ctx context.Context, model document.Model, texts []string) ([][]float32, error) {
	select {
	case <-time.After(9 * time.Second):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return c.fakeEmbedder.Embed(ctx, model, texts)
}

// A model takes longer to load than the first caller waits; a later caller gets its answer.
func TestLateAnswerIsReused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		model := &slowEmbedder{fakeEmbedder{dimensions: 4}}
		q, err := embedding.NewQueryEmbedder(embedding.QueryConfig{Embedder: model, MaxInFlight: 3})
		if err != nil {
			t.Fatal(err)
		}
		ask := func(who, question string, timeout time.Duration) error {
			ctx, cancel := context.WithTimeout(tenant.With(t.Context(), who), timeout)
			defer cancel()
			vector, err := q.Embed(ctx, document.Model{Name: "m", Dimensions: 4}, question)
			if err == nil && len(vector) != 4 {
				t.Errorf("got %v", vector)
			}
			return err
		}
		for range 3 {
			if err := ask("a", "rye?", time.Second); err != context.DeadlineExceeded {
				t.Fatalf("a caller that does not wait got %v", err)
			}
		}
		if err := ask("b", "rye?", time.Second); err != context.DeadlineExceeded { // of another tenant: another provider request
			t.Fatal(err)
		}
		if err := ask("a", "oats?", time.Second); err != context.DeadlineExceeded {
			t.Fatal(err)
		}
		if err := ask("a", "too many?", time.Second); !fault.Is(err, fault.Unavailable) {
			t.Errorf("a question beyond the limit got %v", err)
		}
		<-time.After(10 * time.Second) // fake clock
		for _, who := range []string{"a", "b"} {
			if err := ask(who, "rye?", time.Millisecond); err != nil {
				t.Errorf("tenant %s got %v for the second question", who, err)
			}
		}
		if n := model.times.Load(); n != 3 {
			t.Errorf("the model got %d requests, want one for each question", n)
		}
		if err := ask("a", "wheat?", time.Second); err != context.DeadlineExceeded {
			t.Fatal(err)
		}
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
}
