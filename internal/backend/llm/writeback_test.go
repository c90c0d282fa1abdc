package llm_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/backend/llm"
	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/test/await"
	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/internal/writeback"
)

// Requests that wait for their turn are not sent while their results could not be written, and are
// sent afterwards.
func TestWaitingRequestsAreNotSentWhileWritesFail(t *testing.T) {
	t.Parallel()
	const requests = 6
	p := fakeprovider.Start(t, fakeprovider.Options{Latency: 50 * time.Millisecond})
	o := newOpenAI(t, p, func(cfg *llm.OpenAIConfig) { cfg.Concurrency = 1 })
	var breaker writeback.Breaker
	var calls sync.WaitGroup
	for range requests {
		calls.Go(func() {
			if err := breaker.CallProvider(t.Context(), func(ctx context.Context) error {
				_, err := o.Embed(ctx, small, numberedTexts(1))
				return err
			}); err != nil {
				t.Error(err)
			}
		})
	}
	await.Until(t, "a request is in flight", func() bool { return p.InFlight() > 0 })

	var tries, sent int
	if err := breaker.RetryWrite(t.Context(), func(context.Context) error {
		sent = p.Counts().EmbeddingRequests
		if tries++; tries < 5 { // a second and a half
			return fault.New(fault.Unavailable, "the disk is full")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if sent > 2 { // the second may have been sent before the first write failed
		t.Errorf("%d requests were sent while writes failed", sent)
	}
	calls.Wait()
	if n := p.Counts().EmbeddingRequests; n != requests {
		t.Errorf("%d requests were sent in total, want %d", n, requests)
	}
}
