package llm_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/seed-7a112592/gristmill/internal/backend/llm"
	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/telemetry"
	"github.com/seed-7a112592/gristmill/internal/test/await"
	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/internal/test/services"
)

// clock is the clock of a Redis. It advances only by add. Holds end by this clock.
type clock struct {
	redis *miniredis.Miniredis
	now   time.Time
}

func newClock(t *testing.T) *clock {
	t.Helper()
	c := &clock{miniredis.RunT(t), time.Now()}
	c.redis.SetTime(c.now)
	return c
}

func (c *clock) add(d time.Duration) {
	c.now = c.now.Add(d)
	c.redis.SetTime(c.now)
}

// maxWait is the longest wait of a hold.
const maxWait = 10 * time.Minute

// config makes a client use the rate limiter with this clock.
func (c *clock) config(t *testing.T) func(*llm.OpenAIConfig) {
	return func(cfg *llm.OpenAIConfig) { cfg.RateLimiter = newRateLimiter(t, "redis://"+c.redis.Addr()) }
}

// newOpenAIWithRedis returns a client of p like that of another process, which shares only Redis
// with others.
func newOpenAIWithRedis(t *testing.T, p *fakeprovider.Provider, redisURL string, change ...func(*llm.OpenAIConfig)) *llm.OpenAI {
	t.Helper()
	return newOpenAI(t, p, append([]func(*llm.OpenAIConfig){func(c *llm.OpenAIConfig) { c.RateLimiter = newRateLimiter(t, redisURL) }}, change...)...)
}

func (c *clock) newOpenAI(t *testing.T, p *fakeprovider.Provider, change ...func(*llm.OpenAIConfig)) *llm.OpenAI {
	t.Helper()
	return newOpenAIWithRedis(t, p, "redis://"+c.redis.Addr(), change...)
}

// wantRefused checks that a call is refused with a reason and a RetryAfter, and that no request is
// sent.
func wantRefused(t *testing.T, o *llm.OpenAI, p *fakeprovider.Provider, kind fault.Kind, after time.Duration, says ...string) {
	t.Helper()
	before := p.Counts().EmbeddingRequests
	_, err := o.Embed(t.Context(), small, numberedTexts(1))
	e := fault.As(err)
	if e == nil || e.Kind != kind || e.RetryAfter != after {
		t.Fatalf("got %v (%+v), want %s after %s", err, e, kind, after)
	}
	for _, part := range says {
		if !strings.Contains(e.Detail, part) {
			t.Errorf("%q does not say %q", e.Detail, part)
		}
	}
	if n := p.Counts().EmbeddingRequests - before; n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

func wantEmbedded(t *testing.T, o *llm.OpenAI) {
	t.Helper()
	if _, err := o.Embed(t.Context(), small, numberedTexts(1)); err != nil {
		t.Fatal(err)
	}
}

// A 429 holds the model for all processes. After the hold, one of them tries first.
func TestRateLimitHoldsAllProcesses(t *testing.T) {
	t.Parallel()
	c := newClock(t)
	p := fakeprovider.Start(t, fakeprovider.Options{})
	worker, api := c.newOpenAI(t, p), c.newOpenAI(t, p, func(c *llm.OpenAIConfig) { c.Urgent = true })
	p.FailNext(fakeprovider.RateLimit("60"), 2)
	if _, err := worker.Embed(t.Context(), small, numberedTexts(1)); !fault.Is(err, fault.RateLimited) {
		t.Fatal(err)
	}
	for _, o := range []*llm.OpenAI{worker, api} {
		wantRefused(t, o, p, fault.RateLimited, time.Minute, "rate limit reached", "127.0.0.1:", "no requests are sent to model text-embedding-3-small for another 1m0s")
	}
	if _, err := worker.Summarise(t.Context(), "chat", "", []string{"a"}); err != nil {
		t.Errorf("another model is held too: %v", err)
	}
	c.add(time.Minute)
	if _, err := api.Embed(t.Context(), small, numberedTexts(1)); !fault.Is(err, fault.RateLimited) {
		t.Fatal(err)
	}
	wantRefused(t, worker, p, fault.RateLimited, time.Minute)
	c.add(time.Minute)
	wantEmbedded(t, worker)
	wantEmbedded(t, api)
}

// While all requests are refused, little more than the requests in flight is sent. After that all
// work is done.
func TestRateLimitStorm(t *testing.T) {
	t.Parallel()
	const processes, concurrency, callers, storm = 2, 4, 8, 2 * time.Second
	p := fakeprovider.Start(t, fakeprovider.Options{Latency: 5 * time.Millisecond})
	redis := services.Redis(t)
	p.FailFor(fakeprovider.RateLimit("2"), storm)
	ctx, cancel := context.WithTimeout(t.Context(), await.Deadline)
	defer cancel()
	var wg sync.WaitGroup
	for range processes {
		o := newOpenAIWithRedis(t, p, redis, func(c *llm.OpenAIConfig) { c.Concurrency = concurrency })
		for range callers {
			wg.Go(func() {
				for {
					_, err := o.Embed(ctx, small, numberedTexts(2))
					e := fault.As(err)
					if err == nil {
						return
					}
					if e == nil || e.Kind != fault.RateLimited || e.RetryAfter == 0 {
						t.Errorf("got %v", err)
						return
					}
					select {
					case <-time.After(e.RetryAfter):
					case <-ctx.Done():
						t.Error("the texts were not embedded in time")
						return
					}
				}
			})
		}
	}
	wg.Wait()
	c := p.Counts()
	if limit := processes*concurrency/2 + 2; c.RequestsRefused > limit {
		t.Errorf("%d requests were refused, want at most %d: those in flight and a try or two", c.RequestsRefused, limit)
	}
	if probes := c.TextsAnswered - 2*processes*callers; probes < 0 || probes > 2 {
		t.Errorf("%d texts embedded, want %d and a probe or two", c.TextsAnswered, 2*processes*callers)
	}
}

// All processes keep to the limits that the provider names.
func TestLimitsAreLearned(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]fakeprovider.Options{
		"requests": {RequestsPerMinute: 12},
		"tokens":   {TokensPerMinute: 300},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClock(t)
			p := fakeprovider.Start(t, opts)
			text := []string{strings.Repeat("grist", 20)} // 25 tokens
			embed := func(o *llm.OpenAI) error {
				_, err := o.Embed(t.Context(), small, text)
				return err
			}
			worker, other := c.newOpenAI(t, p), c.newOpenAI(t, p)
			asker := c.newOpenAI(t, p, func(c *llm.OpenAIConfig) { c.Urgent = true })
			for range 2 { // before the limits are known, and after
				if err := embed(worker); err != nil {
					t.Fatal(err)
				}
			}
			for _, o := range []*llm.OpenAI{worker, other} {
				err := embed(o)
				// One request takes 5.6 s at nine tenths of the limit, less 3 s of burst.
				if e := fault.As(err); e == nil || e.Kind != fault.RateLimited || e.RetryAfter < 2500*time.Millisecond || e.RetryAfter > 4*time.Second {
					t.Errorf("got %v (%+v), want rate limited after 2.5 s to 4 s", err, e)
				}
			}
			if err := embed(asker); err != nil {
				t.Errorf("a question waits: %v", err)
			}
			c.add(20 * time.Second)
			if err := embed(other); err != nil {
				t.Error(err)
			}
			if n := p.Counts(); n.EmbeddingRequests != 4 || n.RequestsRefused != 0 {
				t.Errorf("%d requests, %d of them refused; want 4 and none", n.EmbeddingRequests, n.RequestsRefused)
			}
		})
	}
}

func TestShortWaits(t *testing.T) {
	t.Parallel()
	p := fakeprovider.Start(t, fakeprovider.Options{RequestsPerMinute: 600})
	metrics := telemetry.NewMetrics()
	o := newOpenAI(t, p, func(c *llm.OpenAIConfig) { c.Metrics = metrics })
	start := time.Now()
	const requests = 33
	for range requests {
		wantEmbedded(t, o)
	}
	// After the first request, nine requests a second are sent, and the last one waits for those
	// before it, less the burst.
	const least = (requests-2)*time.Second/9 - 3*time.Second
	if took := time.Since(start); took < least {
		t.Errorf("%d requests took %s, want at least %s", requests, took, least)
	}
	wantMetrics(t, metrics, `gristmill_provider_held{model="text-embedding-3-small"} 0`)
}

func TestUsedUpLimitHoldsModel(t *testing.T) {
	t.Parallel()
	c := newClock(t)
	p := fakeprovider.Start(t, fakeprovider.Options{})
	o := c.newOpenAI(t, p)
	p.FailNext(func(a *fakeprovider.Answer) { a.Header.Set("X-RateLimit-Reset-Requests", "2m") }, 1)
	wantEmbedded(t, o)
	p.FailNext(func(a *fakeprovider.Answer) {
		a.Header.Set("X-RateLimit-Remaining-Requests", "0")
		a.Header.Set("X-RateLimit-Reset-Requests", "2m")
		a.Header.Set("X-RateLimit-Remaining-Tokens", "9")
		a.Header.Set("X-RateLimit-Reset-Tokens", "3m")
	}, 1)
	wantEmbedded(t, o)
	wantRefused(t, o, p, fault.RateLimited, time.Minute, "limit is used up")
	c.add(time.Minute)
	wantEmbedded(t, o)
	wantEmbedded(t, o)
}

// The estimate of a request's tokens follows the provider's count.
func TestTokenEstimateIsLearned(t *testing.T) {
	t.Parallel()
	var estimates []int
	spy := spyRateLimiter{reserve: func(tokens int) { estimates = append(estimates, tokens) }}
	p := fakeprovider.Start(t, fakeprovider.Options{})
	p.FailNext(fakeprovider.Raw(`{"data":[{"index":0,"embedding":[`+strings.Repeat("1,", 63)+`1]}],"usage":{"prompt_tokens":1000}}`), -1)
	o := newOpenAI(t, p, func(c *llm.OpenAIConfig) { c.RateLimiter = spy })
	for range 5 {
		if _, err := o.Embed(t.Context(), small, []string{strings.Repeat("漢", 500)}); err != nil { // 1500 bytes
			t.Fatal(err)
		}
	}
	if estimates[0] != 375 || estimates[4] < 950 || estimates[4] > 1050 {
		t.Errorf("estimates are %v, want 375 at first and then about 1000", estimates)
	}
}

// spyRateLimiter delays no request.
type spyRateLimiter struct{ reserve func(tokens int) }

func (s spyRateLimiter) Reserve(_ context.Context, _ string, tokens int, _ bool, _ time.Duration) (time.Duration, int, *fault.Error) {
	s.reserve(tokens)
	return 0, 0, nil
}
func (spyRateLimiter) SetLimits(context.Context, string, int, int)     {}
func (spyRateLimiter) Hold(context.Context, string, *fault.Error) bool { return false }
func (spyRateLimiter) EndHold(context.Context, string) bool            { return false }

// Without Redis each process limits its own requests.
func TestRateLimiterWithoutRedis(t *testing.T) {
	t.Parallel()
	redis := miniredis.RunT(t)
	p := fakeprovider.Start(t, fakeprovider.Options{})
	o := newOpenAIWithRedis(t, p, "redis://"+redis.Addr())
	redis.Close()
	wantEmbedded(t, o)
	p.FailNext(fakeprovider.RateLimit("60"), 1)
	if _, err := o.Embed(t.Context(), small, numberedTexts(1)); !fault.Is(err, fault.RateLimited) || errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	before := p.Counts().EmbeddingRequests
	if _, err := o.Embed(t.Context(), small, numberedTexts(1)); !fault.Is(err, fault.RateLimited) || p.Counts().EmbeddingRequests != before {
		t.Errorf("not held: %v", err)
	}
}
