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

func TestOrderIsDividedIntoRequests(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		passages, tokens int // of a request
		want             []int
	}{
		{10, 1 << 20, []int{10, 10, 5}},
		{100, 1 << 20, []int{25}},
		{25, 1 << 20, []int{25}},
		{100, 81, []int{9, 9, 7}}, // of nine tokens each
		{100, 82, []int{10, 10, 5}},
		{100, 1, slices.Repeat([]int{1}, 25)},
	} {
		buyer, m := newCache()
		buyer.BatchPassages, buyer.BatchTokens, buyer.MaxInFlight = test.passages, test.tokens, 0
		if n, err := buyer.Ensure(t.Context(), m.newRequest(words("grain", 25)...)); err != nil || n != 25 {
			t.Fatalf("bought %d, %v", n, err)
		}
		if diff := cmp.Diff(test.want, m.requests); diff != "" {
			t.Errorf("%d passages and %d tokens a request (-want +got):\n%s", test.passages, test.tokens, diff)
		}
		if m.most != 1 || len(m.writes) != 1 || m.whole != 1 {
			t.Errorf("%d requests in flight, %d writes of %d orders; want one of each", m.most, len(m.writes), m.whole)
		}
	}
}

func TestRequestsAreInFlightTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		buyer, m := newCache()
		m.answer = func(context.Context, []string) error { <-time.After(time.Second); return nil } // of the bubble's clock
		start := time.Now()
		if n, err := buyer.Ensure(t.Context(), m.newRequest(words("grain", 80)...)); err != nil || n != 80 {
			t.Fatalf("bought %d, %v", n, err)
		}
		if took := time.Since(start); took != 2*time.Second || m.most != 4 {
			t.Errorf("eight requests took %s with %d in flight, want 2s and 4", took, m.most)
		}
	})
}

func TestWhatIsKnownIsNotBought(t *testing.T) {
	t.Parallel()
	buyer, m := newCache()
	for _, order := range []embedding.EnsureRequest{
		m.newRequest(words("grain", 30)...),
		m.newRequest(append(words("flour", 5), words("grain", 30)...)...),
		m.newRequest(),
	} {
		if _, err := buyer.Ensure(t.Context(), order); err != nil {
			t.Fatal(err)
		}
	}
	if len(m.sent) != 35 || m.twice() || m.whole != 3 {
		t.Errorf("sent %v for %d whole orders", m.sent, m.whole)
	}
}

// What the other requests of an order brought is paid for.
func TestFailedRequestCostsTheOthersNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		buyer, m := newCache()
		failing := true
		m.answer = func(ctx context.Context, texts []string) error {
			if failing && texts[0] == "grain 010" {
				<-time.After(time.Second / 2) // of the bubble's clock
				return fault.New(fault.RateLimited, "slow down").WithRetryAfter(time.Minute)
			}
			<-time.After(time.Second) // of the bubble's clock
			return ctx.Err()
		}
		order := m.newRequest(words("grain", 80)...)
		_, err := buyer.Ensure(t.Context(), order)
		if f := fault.As(err); f == nil || f.Kind != fault.RateLimited || f.RetryAfter != time.Minute {
			t.Errorf("error %v, want the one of the request", err)
		}
		if len(m.requests) != 4 || len(m.passages) != 30 || m.whole != 0 {
			t.Errorf("%d requests were begun and %d passages stored; want those in flight, and what came of them", len(m.requests), len(m.passages))
		}
		failing = false
		if n, err := buyer.Ensure(t.Context(), order); err != nil || n != 50 {
			t.Errorf("bought %d, %v; want the 50 that were left", n, err)
		}
		if m.whole != 1 {
			t.Error("the order was not written whole")
		}
	})
}

// A process that stops keeps what has been answered.
func TestOrderThatIsCutOffKeepsWhatItHas(t *testing.T) {
	t.Parallel()
	for name, last := range map[string]string{"during the last request": "grain 070", "after it": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			buyer, m := newCache()
			buyer.MaxInFlight = 1
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
			if _, err := buyer.Ensure(ctx, m.newRequest(words("grain", 80)...)); !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
			if len(m.passages) != want || m.whole != 0 {
				t.Errorf("%d passages are stored, want %d", len(m.passages), want)
			}
		})
	}
}

// What cannot be stored is not lost, and nothing more is bought meanwhile: the
// next order of this process writes it.
func TestVectorsOutliveTheirWrite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		buyer, m := newCache()
		order, other := m.newRequest(words("grain", 20)...), m.newRequest(words("flour", 20)...)
		write, down := order.Write, true
		order.Write = func(ctx context.Context, fresh []vector.EmbeddedPassage, whole bool) error {
			if down {
				return fault.New(fault.Unavailable, "the disk is full")
			}
			return write(ctx, fresh, whole)
		}
		for range 3 {
			if _, err := buyer.Ensure(t.Context(), order); !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "the disk is full") {
				t.Fatalf("error %v, want that of the write", err)
			}
			if _, err := buyer.Ensure(t.Context(), other); !fault.Is(err, fault.Unavailable) {
				t.Fatalf("error %v, want a wait", err)
			}
		}
		if len(m.sent) != 20 || m.twice() || len(m.passages) != 0 {
			t.Fatalf("%d texts were sent while nothing could be written, want the 20 in flight, once", len(m.sent))
		}
		down = false
		for _, o := range []embedding.EnsureRequest{order, other} {
			if n, err := buyer.Ensure(t.Context(), o); err != nil || n != 20 {
				t.Fatalf("bought %d, %v", n, err)
			}
		}
		if len(m.sent) != 40 || m.twice() || m.whole != 2 {
			t.Errorf("%d texts were sent for %d whole orders, want 40 for 2 and each once", len(m.sent), m.whole)
		}
	})
}

// A write that fails for a moment costs neither an attempt nor a text.
func TestWriteIsTriedAgainWithinTheOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		buyer, m := newCache()
		order := m.newRequest(words("grain", 20)...)
		write, failures := order.Write, 4
		order.Write = func(ctx context.Context, fresh []vector.EmbeddedPassage, whole bool) error {
			if failures--; failures >= 0 {
				return fault.New(fault.Unavailable, "the connection broke")
			}
			return write(ctx, fresh, whole)
		}
		if n, err := buyer.Ensure(t.Context(), order); err != nil || n != 20 || m.twice() {
			t.Errorf("bought %d, %v", n, err)
		}
	})
}

// A failure that is the write's own is returned at once, and nothing is lost.
func TestDefectOfAWriteCostsNoVectors(t *testing.T) {
	t.Parallel()
	buyer, m := newCache()
	order := m.newRequest(words("grain", 20)...)
	write, defects := order.Write, 1
	order.Write = func(ctx context.Context, fresh []vector.EmbeddedPassage, whole bool) error {
		if defects--; defects >= 0 {
			return errors.New("a defect")
		}
		return write(ctx, fresh, whole)
	}
	if _, err := buyer.Ensure(t.Context(), order); err == nil {
		t.Error("no error")
	}
	if n, err := buyer.Ensure(t.Context(), order); err != nil || n != 20 || m.twice() || m.whole != 1 {
		t.Errorf("bought %d, %v, for %d whole orders", n, err, m.whole)
	}
}

// Whoever buys in a process with the same claims waits for the others, and
// whoever has them of its own does not know of them.
func TestBuyersShareClaims(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		first, m := newCache()
		second := *first
		second.BatchPassages = 7
		m.answer = func(context.Context, []string) error { <-time.After(time.Second); return nil } // of the bubble's clock
		var wg sync.WaitGroup
		for i, buyer := range []*embedding.Cache{first, &second, first, &second} {
			order := m.newRequest(append(words(fmt.Sprint("own", i), 5), words("shared", 40)...)...)
			wg.Go(func() {
				if _, err := buyer.Ensure(t.Context(), order); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if m.twice() || m.whole != 4 || len(m.sent) != 60 {
			t.Errorf("%d texts were sent for %d whole orders, want 60 for 4 and each once", len(m.sent), m.whole)
		}
	})
}

// A passage that was known and is swept away before it is placed is bought
// again, and what was paid for in the meantime is not.
func TestPassageThatVanishesIsBoughtAgain(t *testing.T) {
	t.Parallel()
	buyer, m := newCache()
	if _, err := buyer.Ensure(t.Context(), m.newRequest("old")); err != nil {
		t.Fatal(err)
	}
	order := m.newRequest("old", "new")
	write := order.Write
	order.Write = func(ctx context.Context, fresh []vector.EmbeddedPassage, whole bool) error {
		if whole && m.sent["old"] == 1 {
			delete(m.passages, document.HashText("old"))
			return fault.New(fault.Conflict, "passage is gone")
		}
		return write(ctx, fresh, whole)
	}
	if n, err := buyer.Ensure(t.Context(), order); err != nil || n != 2 {
		t.Errorf("bought %d, %v", n, err)
	}
	if m.sent["new"] != 1 || m.sent["old"] != 2 || m.whole != 2 {
		t.Errorf("sent %v for %d whole orders", m.sent, m.whole)
	}
}
