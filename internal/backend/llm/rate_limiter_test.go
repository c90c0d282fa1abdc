package llm_test

import (
	"context"
	"errors"
	"log/slog"
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

// clock is the clock of a Redis, which stands still but for add. It is the one
// by which models are held.
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

// maxWait is what nobody is held longer than.
const maxWait = 10 * time.Minute

// config has a client keep its pace by the clock.
func (c *clock) config(t *testing.T) func(*llm.OpenAIConfig) {
	return func(cfg *llm.OpenAIConfig) { cfg.RateLimiter = newRateLimiter(t, "redis://"+c.redis.Addr()) }
}

// newOpenAIWithRedis returns a client of p as another process has one: all that it
// shares with others is Redis.
func newOpenAIWithRedis(t *testing.T, p *fakeprovider.Provider, redisURL string, change ...func(*llm.OpenAIConfig)) *llm.OpenAI {
	t.Helper()
	return newOpenAI(t, p, append([]func(*llm.OpenAIConfig){func(c *llm.OpenAIConfig) { c.RateLimiter = newRateLimiter(t, redisURL) }}, change...)...)
}

func (c *clock) newOpenAI(t *testing.T, p *fakeprovider.Provider, change ...func(*llm.OpenAIConfig)) *llm.OpenAI {
	t.Helper()
	return newOpenAIWithRedis(t, p, "redis://"+c.redis.Addr(), change...)
}

// wantRefused checks that a call is refused with a reason and a time, and that
// nothing is sent for it.
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

// A refusal holds all processes, and one of them tries first when it is over.
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
		wantRefused(t, o, p, fault.RateLimited, time.Minute, "rate limit reached", "127.0.0.1:", "text-embedding-3-small is not asked for another 1m0s")
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

// A storm of refusals meets what was in flight and little more, and then all
// is done.
func TestStorm(t *testing.T) {
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
						t.Error("never embedded")
						return
					}
				}
			})
		}
	}
	wg.Wait()
	c := p.Counts()
	if most := processes*concurrency/2 + 2; c.RequestsRefused > most {
		t.Errorf("%d requests were refused, want at most %d: those in flight and a try or two", c.RequestsRefused, most)
	}
	if probes := c.TextsAnswered - 2*processes*callers; probes < 0 || probes > 2 {
		t.Errorf("%d texts embedded, want %d and a probe or two", c.TextsAnswered, 2*processes*callers)
	}
}

// fail has the breaker of a client open.
func fail(t *testing.T, o *llm.OpenAI, p *fakeprovider.Provider) {
	t.Helper()
	p.FailNext(fakeprovider.Status(503, "overloaded"), -1)
	for range 3 { // three requests each, and a probe
		if _, err := o.Embed(t.Context(), small, numberedTexts(1)); !fault.Is(err, fault.Unavailable) {
			t.Fatal(err)
		}
	}
}

func TestBreaker(t *testing.T) {
	t.Parallel()
	c := newClock(t)
	p := fakeprovider.Start(t, fakeprovider.Options{})
	var log await.LogBuffer
	change := func(c *llm.OpenAIConfig) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) }
	worker, api := c.newOpenAI(t, p, change), c.newOpenAI(t, p, change)
	fail(t, worker, p)
	// The delay grows with each try in vain, up to a minute.
	for i, wait := range []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second, 40 * time.Second, time.Minute, time.Minute} {
		for _, o := range []*llm.OpenAI{worker, api} {
			wantRefused(t, o, p, fault.Unavailable, wait, "answered 503: overloaded", "is not asked for another "+wait.String())
		}
		c.add(wait)
		before := p.Counts().EmbeddingRequests
		_, err := []*llm.OpenAI{worker, api}[i%2].Embed(t.Context(), small, numberedTexts(1))
		if n := p.Counts().EmbeddingRequests - before; n != 1 || !fault.Is(err, fault.Unavailable) {
			t.Fatalf("%d requests tried the provider: %v", n, err)
		}
	}
	p.FailNext(nil, 0)
	c.add(time.Minute)
	wantEmbedded(t, api)
	wantEmbedded(t, worker)
	for _, line := range []string{"the model is held", "answers again"} {
		if n := strings.Count(log.String(), line); n != 1 {
			t.Errorf("%q is %d times in the log, want once", line, n)
		}
	}
	p.FailNext(fakeprovider.Status(503, "once more"), 2)
	wantEmbedded(t, worker) // by a quick retry: all is forgotten
}

func TestOneProbesAtATime(t *testing.T) {
	t.Parallel()
	c := newClock(t)
	p := fakeprovider.Start(t, fakeprovider.Options{})
	worker, api := c.newOpenAI(t, p), c.newOpenAI(t, p)
	fail(t, worker, p)
	c.add(5 * time.Second)
	trying, answer := make(chan struct{}), make(chan struct{})
	p.FailNext(func(*fakeprovider.Answer) {
		close(trying)
		<-answer
	}, 1)
	tried := make(chan error, 1)
	go func() {
		_, err := worker.Embed(t.Context(), small, numberedTexts(1))
		tried <- err
	}()
	await.Receive(t, trying)
	ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := api.Embed(ctx, small, numberedTexts(1)); !fault.Is(err, fault.Unavailable) {
		t.Errorf("got %v after %s, want a refusal before the caller's time is over", err, time.Since(start))
	}
	waited := make(chan error, 1)
	go func() {
		_, err := api.Embed(t.Context(), small, numberedTexts(1))
		waited <- err
	}()
	close(answer)
	if err := await.Receive(t, tried); err != nil {
		t.Error(err)
	}
	if err := await.Receive(t, waited); err != nil {
		t.Errorf("who waited for the try: %v", err)
	}
}

// A caller who leaves while trying has not found the provider well.
func TestTryThatIsCancelled(t *testing.T) {
	t.Parallel()
	c := newClock(t)
	p := fakeprovider.Start(t, fakeprovider.Options{})
	o := c.newOpenAI(t, p)
	fail(t, o, p)
	c.add(5 * time.Second)
	trying := make(chan struct{})
	p.FailNext(func(a *fakeprovider.Answer) {
		fakeprovider.Hang(a)
		close(trying)
	}, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-trying
		cancel()
	}()
	if _, err := o.Embed(ctx, small, numberedTexts(1)); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if _, err := o.Embed(t.Context(), small, numberedTexts(1)); !fault.Is(err, fault.Unavailable) {
		t.Errorf("got %v, want the provider to be left alone", err)
	}
	c.add(10 * time.Second)
	wantEmbedded(t, o)
}

// A caller who leaves says nothing about the provider, and what is wrong with
// an answer is no outage while the model answers a probe.
func TestWhatIsNoOutage(t *testing.T) {
	t.Parallel()
	for name, failure := range map[string]fakeprovider.Fault{
		"bad answer": fakeprovider.NaN,
		"cancelled":  fakeprovider.Hang,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := fakeprovider.Start(t, fakeprovider.Options{})
			o := newOpenAI(t, p)
			for range 20 {
				p.FailNext(failure, 1)
				ctx, cancel := context.WithTimeout(t.Context(), await.Deadline)
				if name == "cancelled" {
					p.FailNext(failure, -1) // a request may arrive when its caller has left
					ctx, cancel = context.WithTimeout(t.Context(), 5*time.Millisecond)
				}
				if _, err := o.Embed(ctx, small, numberedTexts(1)); err == nil {
					t.Fatal("it worked")
				}
				cancel()
			}
			p.FailNext(nil, 0)
			wantEmbedded(t, o)
		})
	}
}

func TestOutages(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		failure fakeprovider.Fault
		timeout time.Duration
		calls   int // that find out
	}{
		"5xx":        {fakeprovider.Status(500, "oops"), time.Minute, 3}, // three requests each, and a probe
		"breaks off": {fakeprovider.TruncatedJSON, time.Minute, 3},
		"hangs":      {fakeprovider.Hang, 20 * time.Millisecond, 2}, // one each, and a probe
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := fakeprovider.Start(t, fakeprovider.Options{})
			o := newOpenAI(t, p, func(c *llm.OpenAIConfig) { c.Timeout = test.timeout })
			p.FailNext(test.failure, -1)
			for call := 1; ; call++ {
				_, err := o.Embed(t.Context(), small, numberedTexts(1))
				e := fault.As(err)
				found := call >= test.calls // and an outage from here on
				if e == nil || found && (e.Kind != fault.Unavailable || e.RetryAfter < 4*time.Second) {
					t.Fatalf("call %d: %v", call, err)
				}
				if open := strings.Contains(e.Detail, "is not asked"); open != (call > test.calls) {
					t.Fatalf("call %d: %v", call, err)
				} else if open {
					return
				}
			}
		})
	}
}

// A provider that cannot be reached is left alone too.
func TestUnreachableIsAnOutage(t *testing.T) {
	t.Parallel()
	p := fakeprovider.Start(t, fakeprovider.Options{})
	o := newOpenAI(t, p)
	p.Close()
	for call := 1; ; call++ {
		_, err := o.Embed(t.Context(), small, numberedTexts(1))
		if !fault.Is(err, fault.Unavailable) || call > 5 {
			t.Fatalf("call %d: %v", call, err)
		}
		if strings.Contains(err.Error(), "is not asked") {
			return
		}
	}
}

// With three failures in ten work gets done, and the breaker stays closed.
func TestSomeFailures(t *testing.T) {
	t.Parallel()
	p := fakeprovider.Start(t, fakeprovider.Options{})
	var log await.LogBuffer
	o := newOpenAI(t, p, func(c *llm.OpenAIConfig) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	p.FailShare(fakeprovider.Status(500, "now and then"), 0.3, 1)
	const callers, calls = 16, 20
	var failed sync.Map
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			for call := range calls {
				if _, err := o.Embed(t.Context(), small, numberedTexts(1)); err != nil {
					failed.Store([2]int{caller, call}, err)
				}
			}
		})
	}
	wg.Wait()
	n := 0
	failed.Range(func(_, err any) bool { n++; return true })
	if n > callers*calls/10 {
		t.Errorf("%d of %d calls failed, want about one in thirty-seven", n, callers*calls)
	}
	if strings.Contains(log.String(), "left alone") {
		t.Errorf("the breaker opened:\n%s", log.String())
	}
}

// What the provider says of its limits is kept to, by all processes.
func TestLimitsAreLearnt(t *testing.T) {
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
			for range 2 { // before anything is known, and after
				if err := embed(worker); err != nil {
					t.Fatal(err)
				}
			}
			for _, o := range []*llm.OpenAI{worker, other} {
				err := embed(o)
				// One request takes 5.6 s of nine tenths of the limit, less 3 s of burst.
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

func TestShortWaitsAreWaited(t *testing.T) {
	t.Parallel()
	p := fakeprovider.Start(t, fakeprovider.Options{RequestsPerMinute: 600})
	metrics := telemetry.NewMetrics()
	o := newOpenAI(t, p, func(c *llm.OpenAIConfig) { c.Metrics = metrics })
	start := time.Now()
	const requests = 33
	for range requests {
		wantEmbedded(t, o)
	}
	// All but the first are paced, nine a second, and the last pays for
	// those before it, but for the burst.
	const least = (requests-2)*time.Second/9 - 3*time.Second
	if took := time.Since(start); took < least {
		t.Errorf("%d requests took %s, want at least %s", requests, took, least)
	}
	wantMetrics(t, metrics, `gristmill_provider_held{model="text-embedding-3-small"} 0`)
}

func TestUsedUpLimitHolds(t *testing.T) {
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
func TestTokensAreLearnt(t *testing.T) {
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

// spyRateLimiter delays nothing.
type spyRateLimiter struct{ reserve func(tokens int) }

func (s spyRateLimiter) Reserve(_ context.Context, _ string, tokens int, _ bool, _ time.Duration) (time.Duration, int, *fault.Error) {
	s.reserve(tokens)
	return 0, 0, nil
}
func (spyRateLimiter) SetLimits(context.Context, string, int, int)     {}
func (spyRateLimiter) Hold(context.Context, string, *fault.Error) bool { return false }
func (spyRateLimiter) EndHold(context.Context, string) bool            { return false }

// With Redis gone each process keeps a pace of its own.
func TestPaceWithoutRedis(t *testing.T) {
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
