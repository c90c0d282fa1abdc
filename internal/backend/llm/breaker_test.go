package llm_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/backend/llm"
	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/test/await"
	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
)

// fail opens the breaker of a client.
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
	// The wait doubles with each failed try, up to a minute.
	for i, wait := range []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second, 40 * time.Second, time.Minute, time.Minute} {
		for _, o := range []*llm.OpenAI{worker, api} {
			wantRefused(t, o, p, fault.Unavailable, wait, "answered 503: overloaded", "no requests are sent to model text-embedding-3-small for another "+wait.String())
		}
		c.add(wait)
		before := p.Counts().EmbeddingRequests
		_, err := []*llm.OpenAI{worker, api}[i%2].Embed(t.Context(), small, numberedTexts(1))
		if n := p.Counts().EmbeddingRequests - before; n != 1 || !fault.Is(err, fault.Unavailable) {
			t.Fatalf("%d requests were sent: %v", n, err)
		}
	}
	p.FailNext(nil, 0)
	c.add(time.Minute)
	wantEmbedded(t, api)
	wantEmbedded(t, worker)
	for _, line := range []string{"the model is held", "answers again"} {
		if n := strings.Count(log.String(), line); n != 1 {
			t.Errorf("%q is in the log %d times, want once", line, n)
		}
	}
	p.FailNext(fakeprovider.Status(503, "once more"), 2)
	wantEmbedded(t, worker) // after a quick retry: the breaker was reset
}

func TestOneRequestTriesAtATime(t *testing.T) {
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
		t.Errorf("got %v after %s, want a refusal before the caller's deadline", err, time.Since(start))
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
		t.Errorf("request that waited for the try: %v", err)
	}
}

// A try whose caller leaves does not end the hold.
func TestCancelledTry(t *testing.T) {
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
		t.Errorf("got %v, want the model to stay held", err)
	}
	c.add(10 * time.Second)
	wantEmbedded(t, o)
}

// A caller that leaves says nothing about the provider, and an invalid response is no outage while
// the model answers a probe.
func TestNoOutage(t *testing.T) {
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
					p.FailNext(failure, -1) // a request may arrive after its caller has left
					ctx, cancel = context.WithTimeout(t.Context(), 5*time.Millisecond)
				}
				if _, err := o.Embed(ctx, small, numberedTexts(1)); err == nil {
					t.Fatal("Embed succeeded")
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
		calls   int // calls until the model is held
	}{
		"5xx":        {fakeprovider.Status(500, "oops"), time.Minute, 3}, // three requests each, and a probe
		"breaks off": {fakeprovider.TruncatedJSON, time.Minute, 3},
		"hangs":      {fakeprovider.Hang, 20 * time.Millisecond, 2}, // one request each, and a probe
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := fakeprovider.Start(t, fakeprovider.Options{})
			o := newOpenAI(t, p, func(c *llm.OpenAIConfig) { c.Timeout = test.timeout })
			p.FailNext(test.failure, -1)
			for call := 1; ; call++ {
				_, err := o.Embed(t.Context(), small, numberedTexts(1))
				e := fault.As(err)
				found := call >= test.calls // the outage is detected from here on
				if e == nil || found && (e.Kind != fault.Unavailable || e.RetryAfter < 4*time.Second) {
					t.Fatalf("call %d: %v", call, err)
				}
				if open := strings.Contains(e.Detail, "no requests are sent"); open != (call > test.calls) {
					t.Fatalf("call %d: %v", call, err)
				} else if open {
					return
				}
			}
		})
	}
}

// A provider that cannot be reached is held as well.
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
		if strings.Contains(err.Error(), "no requests are sent") {
			return
		}
	}
}

// If three in ten requests fail, work gets done and the breaker stays closed.
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
	if strings.Contains(log.String(), "the model is held") {
		t.Errorf("the breaker opened:\n%s", log.String())
	}
}
