package embedding_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/internal/embedding"
	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

func TestEnsureSplitsIntoBatches(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		passages, tokens int // per provider request
		want             []int
	}{
		{10, 1 << 20, []int{10, 10, 5}},
		{100, 1 << 20, []int{25}},
		{25, 1 << 20, []int{25}},
		{100, 81, []int{9, 9, 7}}, // the texts have nine tokens each
		{100, 82, []int{10, 10, 5}},
		{100, 1, slices.Repeat([]int{1}, 25)},
	} {
		cache, m := newCache(t, func(c *embedding.CacheConfig) {
			c.BatchPassages, c.BatchTokens, c.MaxInFlight = test.passages, test.tokens, 0
		})
		if n, err := cache.Ensure(t.Context(), m.newRequest(words("grain", 25)...)); err != nil || n != 25 {
			t.Fatalf("embedded %d, %v", n, err)
		}
		if diff := cmp.Diff(test.want, m.requests); diff != "" {
			t.Errorf("%d passages and %d tokens per request (-want +got):\n%s", test.passages, test.tokens, diff)
		}
		if m.maxInFlight != 1 || len(m.writes) != 1 || m.complete != 1 {
			t.Errorf("%d requests in flight, %d writes, %d complete; want one of each", m.maxInFlight, len(m.writes), m.complete)
		}
	}
}

func TestEnsureSendsBatchesConcurrently(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cache, m := newCache(t)
		m.answer = func(context.Context, []string) error { <-time.After(time.Second); return nil } // fake clock
		start := time.Now()
		if n, err := cache.Ensure(t.Context(), m.newRequest(words("grain", 80)...)); err != nil || n != 80 {
			t.Fatalf("embedded %d, %v", n, err)
		}
		if took := time.Since(start); took != 2*time.Second || m.maxInFlight != 4 {
			t.Errorf("eight requests took %s with %d in flight, want 2s and 4", took, m.maxInFlight)
		}
	})
}

func TestEnsureReusesStoredVectors(t *testing.T) {
	t.Parallel()
	cache, m := newCache(t)
	for _, req := range []embedding.EnsureRequest{
		m.newRequest(words("grain", 30)...),
		m.newRequest(append(words("flour", 5), words("grain", 30)...)...),
		m.newRequest(),
	} {
		if _, err := cache.Ensure(t.Context(), req); err != nil {
			t.Fatal(err)
		}
	}
	if len(m.sent) != 35 || m.sentTwice() || m.complete != 3 {
		t.Errorf("sent %v for %d complete requests", m.sent, m.complete)
	}
}

// The vectors of the other provider requests are paid for, and must be kept.
func TestEnsureKeepsOtherBatchesAfterFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cache, m := newCache(t)
		failing := true
		m.answer = func(ctx context.Context, texts []string) error {
			if failing && texts[0] == "grain 010" {
				<-time.After(time.Second / 2) // fake clock
				return fault.New(fault.RateLimited, "slow down").WithRetryAfter(time.Minute)
			}
			<-time.After(time.Second) // fake clock
			return ctx.Err()
		}
		req := m.newRequest(words("grain", 80)...)
		_, err := cache.Ensure(t.Context(), req)
		if f := fault.As(err); f == nil || f.Kind != fault.RateLimited || f.RetryAfter != time.Minute {
			t.Errorf("error %v, want the error of the failed request", err)
		}
		if len(m.requests) != 4 || len(m.passages) != 30 || m.complete != 0 {
			t.Errorf("%d requests were started and %d passages stored; want the 4 in flight and the 30 passages of the others", len(m.requests), len(m.passages))
		}
		failing = false
		if n, err := cache.Ensure(t.Context(), req); err != nil || n != 50 {
			t.Errorf("embedded %d, %v; want the remaining 50", n, err)
		}
		if m.complete != 1 {
			t.Error("the request was not completed")
		}
	})
}

// A process that stops keeps the vectors that were already returned.
func TestEnsureKeepsVectorsWhenCancelled(t *testing.T) {
	t.Parallel()
	for name, last := range map[string]string{"during the last request": "grain 070", "after it": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cache, m := newCache(t, func(c *embedding.CacheConfig) { c.MaxInFlight = 1 })
			ctx, stop := context.WithCancel(t.Context())
			m.answer = func(ctx context.Context, texts []string) error {
				if texts[0] != "grain 070" {
					return nil
				}
				stop()
				if last != "" {
					return fmt.Errorf("embed: %w", ctx.Err())
				}
				return nil
			}
			want := 80
			if last != "" {
				want = 70
			}
			if _, err := cache.Ensure(ctx, m.newRequest(words("grain", 80)...)); !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
			if len(m.passages) != want || m.complete != 0 {
				t.Errorf("%d passages are stored, want %d", len(m.passages), want)
			}
		})
	}
}

// Vectors that cannot be stored are not lost: the next request of this process writes them. Until
// then nothing more is embedded.
func TestEnsureKeepsVectorsAfterFailedWrite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cache, m := newCache(t)
		req, other := m.newRequest(words("grain", 20)...), m.newRequest(words("flour", 20)...)
		write, down := req.Write, true
		req.Write = func(ctx context.Context, fresh []vector.EmbeddedPassage, complete bool) error {
			if down {
				return fault.New(fault.Unavailable, "the disk is full")
			}
			return write(ctx, fresh, complete)
		}
		for range 3 {
			if _, err := cache.Ensure(t.Context(), req); !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "the disk is full") {
				t.Fatalf("error %v, want the error of the write", err)
			}
			if _, err := cache.Ensure(t.Context(), other); !fault.Is(err, fault.Unavailable) {
				t.Fatalf("error %v, want fault.Unavailable", err)
			}
		}
		if len(m.sent) != 20 || m.sentTwice() || len(m.passages) != 0 {
			t.Fatalf("%d texts were sent while writes failed; want the 20 in flight, each once", len(m.sent))
		}
		down = false
		for _, o := range []embedding.EnsureRequest{req, other} {
			if n, err := cache.Ensure(t.Context(), o); err != nil || n != 20 {
				t.Fatalf("embedded %d, %v", n, err)
			}
		}
		if len(m.sent) != 40 || m.sentTwice() || m.complete != 2 {
			t.Errorf("%d texts were sent for %d complete requests; want 40 for 2, each once", len(m.sent), m.complete)
		}
	})
}

// A write that fails for a moment uses up no attempt and sends no text again.
func TestEnsureRetriesWrite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cache, m := newCache(t)
		req := m.newRequest(words("grain", 20)...)
		write, failures := req.Write, 4
		req.Write = func(ctx context.Context, fresh []vector.EmbeddedPassage, complete bool) error {
			if failures--; failures >= 0 {
				return fault.New(fault.Unavailable, "the connection broke")
			}
			return write(ctx, fresh, complete)
		}
		if n, err := cache.Ensure(t.Context(), req); err != nil || n != 20 || m.sentTwice() {
			t.Errorf("embedded %d, %v", n, err)
		}
	})
}

// A failure that is not fault.Unavailable is returned immediately, and no vector is lost.
func TestEnsureKeepsVectorsAfterWriteDefect(t *testing.T) {
	t.Parallel()
	cache, m := newCache(t)
	req := m.newRequest(words("grain", 20)...)
	write, defects := req.Write, 1
	req.Write = func(ctx context.Context, fresh []vector.EmbeddedPassage, complete bool) error {
		if defects--; defects >= 0 {
			return errors.New("a defect")
		}
		return write(ctx, fresh, complete)
	}
	if _, err := cache.Ensure(t.Context(), req); err == nil {
		t.Error("no error")
	}
	if n, err := cache.Ensure(t.Context(), req); err != nil || n != 20 || m.sentTwice() || m.complete != 1 {
		t.Errorf("embedded %d, %v, for %d complete requests", n, err, m.complete)
	}
}

// Caches with the same process state wait for each other's texts.
func TestCachesShareInFlightLocks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		first, m := newCache(t)
		config := first.CacheConfig
		config.BatchPassages = 7
		second, err := embedding.NewCache(config)
		if err != nil {
			t.Fatal(err)
		}
		m.answer = func(context.Context, []string) error { <-time.After(time.Second); return nil } // fake clock
		var wg sync.WaitGroup
		for i, cache := range []*embedding.Cache{first, second, first, second} {
			req := m.newRequest(append(words(fmt.Sprint("own", i), 5), words("shared", 40)...)...)
			wg.Go(func() {
				if _, err := cache.Ensure(t.Context(), req); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if m.sentTwice() || m.complete != 4 || len(m.sent) != 60 {
			t.Errorf("%d texts were sent for %d complete requests; want 60 for 4, each once", len(m.sent), m.complete)
		}
	})
}

// A stored passage that is deleted between lookup and write is embedded again; the texts that were
// embedded in the meantime are not.
func TestEnsureEmbedsDeletedPassageAgain(t *testing.T) {
	t.Parallel()
	cache, m := newCache(t)
	if _, err := cache.Ensure(t.Context(), m.newRequest("old")); err != nil {
		t.Fatal(err)
	}
	req := m.newRequest("old", "new")
	write := req.Write
	req.Write = func(ctx context.Context, fresh []vector.EmbeddedPassage, complete bool) error {
		if complete && m.sent["old"] == 1 {
			delete(m.passages, document.HashText("old"))
			return fault.New(fault.Conflict, "passage was deleted")
		}
		return write(ctx, fresh, complete)
	}
	if n, err := cache.Ensure(t.Context(), req); err != nil || n != 2 {
		t.Errorf("embedded %d, %v", n, err)
	}
	if m.sent["new"] != 1 || m.sent["old"] != 2 || m.complete != 2 {
		t.Errorf("sent %v for %d complete requests", m.sent, m.complete)
	}
}
