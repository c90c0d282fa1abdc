package llm

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/telemetry"
)

// openRateLimiter delays nothing.
type openRateLimiter struct{}

func (openRateLimiter) Reserve(context.Context, string, int, bool, time.Duration) (time.Duration, int, *fault.Error) {
	return 0, 0, nil
}
func (openRateLimiter) SetLimits(context.Context, string, int, int)     {}
func (openRateLimiter) Hold(context.Context, string, *fault.Error) bool { return false }
func (openRateLimiter) EndHold(context.Context, string) bool            { return false }

// load sends requests through a lane with all their might for a while, to a
// provider that takes so long for one, and returns how many were answered and
// the lowest limit of the second half.
func load(ctx context.Context, most int, d time.Duration, latency func(inFlight int, since time.Duration) time.Duration) (answered, lowest int) {
	p := &OpenAI{concurrency: most, rateLimiter: openRateLimiter{}, metrics: telemetry.NewMetrics(), log: slog.New(slog.DiscardHandler)}
	l := p.newLimiter("model")
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var mu sync.Mutex
	inFlight, start := 0, time.Now()
	lowest = most
	var wg sync.WaitGroup
	for range 4 * most {
		wg.Go(func() {
			for {
				pass, err := l.acquire(ctx, 1)
				if err != nil {
					return
				}
				mu.Lock()
				inFlight++
				took := latency(inFlight, time.Since(start))
				mu.Unlock()
				<-time.After(took) // of the clock of the bubble that callers run it in
				_ = pass.release(ctx, nil, &exchange{})
				mu.Lock()
				inFlight--
				answered++
				if time.Since(start) > d/2 {
					lowest = min(lowest, l.slots.Limit())
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return answered, lowest
}

func TestConcurrencyAdapts(t *testing.T) {
	t.Parallel()
	const most, took, d = 16, 50 * time.Millisecond, 2 * time.Minute
	// Each case has its own, since they run at once.
	jittered := func() func() time.Duration {
		random := rand.New(rand.NewPCG(1, 1))
		return func() time.Duration { return took*4/5 + time.Duration(random.Int64N(int64(took*2/5))) }
	}
	constant, growing := jittered(), jittered()
	for _, test := range []struct {
		name              string
		latency           func(inFlight int, since time.Duration) time.Duration
		perSecond         float64 // that the provider can do, on average
		lowLeast, lowMost int
	}{
		{"constant", func(int, time.Duration) time.Duration { return took }, 320, most, most},
		{"with jitter", func(int, time.Duration) time.Duration { return constant() }, 320, most - 1, most},
		// From half-time on it works on two at a time, whatever it is sent.
		{"grows with load", func(inFlight int, since time.Duration) time.Duration {
			if since < d/2 {
				return took
			}
			return growing() * time.Duration(max(inFlight, 2)) / 2
		}, (320 + 40) / 2, 1, most / 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				answered, lowest := load(t.Context(), most, d, test.latency)
				if least := 0.95 * test.perSecond * d.Seconds(); float64(answered) < least {
					t.Errorf("%d answers, want at least %.0f", answered, least)
				}
				if lowest < test.lowLeast || lowest > test.lowMost {
					t.Errorf("%d in flight at the least, want %d to %d", lowest, test.lowLeast, test.lowMost)
				}
			})
		})
	}
}

func TestTrippingStartsGently(t *testing.T) {
	t.Parallel()
	p := &OpenAI{concurrency: 16, rateLimiter: openRateLimiter{}, metrics: telemetry.NewMetrics(), log: slog.New(slog.DiscardHandler)}
	synctest.Test(t, func(t *testing.T) {
		l := p.newLimiter("model")
		for range 1000 {
			pass, err := l.acquire(t.Context(), 1)
			if err != nil {
				t.Fatal(err)
			}
			<-time.After(50 * time.Millisecond) // of the bubble's clock
			_ = pass.release(t.Context(), nil, &exchange{})
		}
		if n := l.slots.Limit(); n != 16 {
			t.Fatalf("limit %d after constant latency, want 16", n)
		}
		for !l.recordBreakerFailures(nil, 1) {
		}
		if n := l.slots.Limit(); n != 8 {
			t.Errorf("limit %d after the breaker opened, want 8", n)
		}
	})
}

// A model has one lane, and neither they nor the figures of their models grow
// with the models that were asked.
func TestFewModelsHaveLanes(t *testing.T) {
	t.Parallel()
	p := &OpenAI{concurrency: 1, rateLimiter: openRateLimiter{}, metrics: telemetry.NewMetrics(), log: slog.New(slog.DiscardHandler), limiters: map[string]*limiter{}}
	figures := 0
	for i := range 3 * maxLimiters {
		model := fmt.Sprint("model-", i)
		l := p.limiter(model)
		l.hold(t.Context(), fault.New(fault.Unavailable, "down"))
		if p.limiter(model) != l {
			t.Fatalf("%s has two lanes", model)
		}
		if len(p.limiters) > maxLimiters {
			t.Fatalf("%d models have lanes, want at most %d", len(p.limiters), maxLimiters)
		}
		answer := httptest.NewRecorder()
		p.metrics.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		figures = max(figures, strings.Count(answer.Body.String(), `model="model-`))
	}
	if figures > maxLimiters {
		t.Errorf("there are figures of %d models, want at most %d", figures, maxLimiters)
	}
}
