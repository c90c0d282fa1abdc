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

// openRateLimiter delays no request.
type openRateLimiter struct{}

func (openRateLimiter) Reserve(context.Context, string, int, bool, time.Duration) (time.Duration, int, *fault.Error) {
	return 0, 0, nil
}
func (openRateLimiter) SetLimits(context.Context, string, int, int)     {}
func (openRateLimiter) Hold(context.Context, string, *fault.Error) bool { return false }
func (openRateLimiter) EndHold(context.Context, string) bool            { return false }

// load sends as many requests as possible through a limiter for the time d, to a provider with the
// given latency. It returns the number of responses, and the lowest limit in the second half of the
// time.
func load(ctx context.Context, maxInFlight int, d time.Duration, latency func(inFlight int, since time.Duration) time.Duration) (answered, lowest int) {
	p := &OpenAI{concurrency: maxInFlight, rateLimiter: openRateLimiter{}, metrics: telemetry.NewMetrics(), log: slog.New(slog.DiscardHandler)}
	l := p.newLimiter("model")
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var mu sync.Mutex
	inFlight, start := 0, time.Now()
	lowest = maxInFlight
	var wg sync.WaitGroup
	for range 4 * maxInFlight {
		wg.Go(func() {
			for {
				permit, err := l.acquire(ctx, 1)
				if err != nil {
					return
				}
				mu.Lock()
				inFlight++
				took := latency(inFlight, time.Since(start))
				mu.Unlock()
				<-time.After(took) // fake clock of the caller's synctest bubble
				_ = permit.release(ctx, nil, &exchange{})
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
	const maxInFlight, took, d = 16, 50 * time.Millisecond, 2 * time.Minute
	// Each case has its own random numbers, since the cases run concurrently.
	jittered := func() func() time.Duration {
		random := rand.New(rand.NewPCG(1, 1))
		return func() time.Duration { return took*4/5 + time.Duration(random.Int64N(int64(took*2/5))) }
	}
	constant, growing := jittered(), jittered()
	for _, test := range []struct {
		name               string
		latency            func(inFlight int, since time.Duration) time.Duration
		perSecond          float64 // average throughput of the provider
		minLimit, maxLimit int     // range of the lowest limit
	}{
		{"constant", func(int, time.Duration) time.Duration { return took }, 320, maxInFlight, maxInFlight},
		{"with jitter", func(int, time.Duration) time.Duration { return constant() }, 320, maxInFlight - 1, maxInFlight},
		// In the second half it processes two requests at a time, however many it gets.
		{"grows with load", func(inFlight int, since time.Duration) time.Duration {
			if since < d/2 {
				return took
			}
			return growing() * time.Duration(max(inFlight, 2)) / 2
		}, (320 + 40) / 2, 1, maxInFlight / 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				answered, lowest := load(t.Context(), maxInFlight, d, test.latency)
				if least := 0.95 * test.perSecond * d.Seconds(); float64(answered) < least {
					t.Errorf("%d responses, want at least %.0f", answered, least)
				}
				if lowest < test.minLimit || lowest > test.maxLimit {
					t.Errorf("lowest limit %d, want %d to %d", lowest, test.minLimit, test.maxLimit)
				}
			})
		})
	}
}

func TestOpenBreakerResetsLimit(t *testing.T) {
	t.Parallel()
	p := &OpenAI{concurrency: 16, rateLimiter: openRateLimiter{}, metrics: telemetry.NewMetrics(), log: slog.New(slog.DiscardHandler)}
	synctest.Test(t, func(t *testing.T) {
		l := p.newLimiter("model")
		for range 1000 {
			permit, err := l.acquire(t.Context(), 1)
			if err != nil {
				t.Fatal(err)
			}
			<-time.After(50 * time.Millisecond) // fake clock
			_ = permit.release(t.Context(), nil, &exchange{})
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

// A model has one limiter. The number of limiters, and of models in the metrics, does not grow with
// the number of models that were used.
func TestLimitersAreBounded(t *testing.T) {
	t.Parallel()
	p := &OpenAI{concurrency: 1, rateLimiter: openRateLimiter{}, metrics: telemetry.NewMetrics(), log: slog.New(slog.DiscardHandler), limiters: map[string]*limiter{}}
	models := 0
	for i := range 3 * maxLimiters {
		model := fmt.Sprint("model-", i)
		l := p.limiter(model)
		l.hold(t.Context(), fault.New(fault.Unavailable, "down"))
		if p.limiter(model) != l {
			t.Fatalf("%s has two limiters", model)
		}
		if len(p.limiters) > maxLimiters {
			t.Fatalf("%d models have limiters, want at most %d", len(p.limiters), maxLimiters)
		}
		answer := httptest.NewRecorder()
		p.metrics.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		models = max(models, strings.Count(answer.Body.String(), `model="model-`))
	}
	if models > maxLimiters {
		t.Errorf("%d models are in the metrics, want at most %d", models, maxLimiters)
	}
}
