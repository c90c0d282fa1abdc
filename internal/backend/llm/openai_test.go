package llm_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/internal/backend/llm"
	"github.com/seed-7a112592/gristmill/internal/backend/progress"
	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/provider"
	"github.com/seed-7a112592/gristmill/internal/telemetry"
	"github.com/seed-7a112592/gristmill/internal/test/await"
	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

const secret = "sk-very-secret"

var small = document.Model{Name: "text-embedding-3-small", Dimensions: 64}

// newOpenAI returns a client of p; see newOpenAIAt.
func newOpenAI(t testing.TB, p *fakeprovider.Provider, change ...func(*llm.OpenAIConfig)) *llm.OpenAI {
	t.Helper()
	return newOpenAIAt(t, p.URL(), change...)
}

// newOpenAIAt returns a client of the server at the address, with its own rate limiter. It logs to
// the test.
func newOpenAIAt(t testing.TB, baseURL string, change ...func(*llm.OpenAIConfig)) *llm.OpenAI {
	t.Helper()
	cfg := newConfig(t, baseURL)
	for _, c := range change {
		c(&cfg)
	}
	o, err := llm.NewOpenAI(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// newConfig returns the configuration of a provider at the address, with a rate limiter of its own.
func newConfig(t testing.TB, baseURL string) llm.OpenAIConfig {
	t.Helper()
	return llm.OpenAIConfig{
		BaseURL:     baseURL,
		APIKey:      secret,
		RateLimiter: newRateLimiter(t, "redis://"+miniredis.RunT(t).Addr()),
		Metrics:     telemetry.NewMetrics(),
		Log:         slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
}

// newRateLimiter returns a rate limiter that is shared through a Redis.
func newRateLimiter(t testing.TB, redisURL string) *progress.RateLimiter {
	t.Helper()
	l, err := progress.NewStore(progress.Config{RedisURL: redisURL, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return progress.NewRateLimiter(l)
}

func numberedTexts(n int) []string {
	texts := make([]string, n)
	for i := range texts {
		texts[i] = fmt.Sprint("text ", i)
	}
	return texts
}

func TestEmbed(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		opts  fakeprovider.Options
		fault fakeprovider.Fault
		model document.Model
	}{
		{name: "base64", model: small},
		{name: "several pieces of base64", model: document.Model{Name: small.Name, Dimensions: 1537}},
		{name: "floats", opts: fakeprovider.Options{FloatsOnly: true}, model: small},
		{name: "other order", fault: fakeprovider.WrongOrder, model: small},
		{name: "fixed dimension", opts: fakeprovider.Options{Dimensions: 48}, model: document.Model{Name: "nomic", Dimensions: 48}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			texts := numberedTexts(5)
			want, err := newOpenAI(t, fakeprovider.Start(t, fakeprovider.Options{Dimensions: tt.opts.Dimensions})).Embed(t.Context(), tt.model, texts)
			if err != nil {
				t.Fatal(err)
			}
			p := fakeprovider.Start(t, tt.opts)
			p.FailNext(tt.fault, 1)
			got, err := newOpenAI(t, p).Embed(t.Context(), tt.model, texts)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != 5 || len(got[0]) != tt.model.Dimensions || cmp.Equal(got[0], got[1]) {
				t.Fatalf("%d vectors of %d dimensions", len(got), len(got[0]))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if n := p.Counts().EmbeddingRequests; n != 1 {
				t.Errorf("%d requests, want 1", n)
			}
		})
	}
}

func TestEmbedWithoutTexts(t *testing.T) {
	t.Parallel()
	p := fakeprovider.Start(t, fakeprovider.Options{})
	got, err := newOpenAI(t, p).Embed(t.Context(), small, nil)
	if err != nil || len(got) != 0 || p.Counts().EmbeddingRequests != 0 {
		t.Errorf("got %v, %v after %d requests", got, err, p.Counts().EmbeddingRequests)
	}
}

// Servers refuse the parameter dimensions for models whose vectors have fixed dimensions.
func TestDimensionsParameter(t *testing.T) {
	t.Parallel()
	p := fakeprovider.Start(t, fakeprovider.Options{Dimensions: 32})
	_, err := newOpenAI(t, p).Embed(t.Context(), document.Model{Name: "nomic", Dimensions: 64}, numberedTexts(1))
	if e := fault.As(err); e == nil || e.Kind != fault.Misconfigured ||
		!strings.Contains(e.Detail, "model nomic") || !strings.Contains(e.Detail, "returned vectors of 32 dimensions, not 64") {
		t.Errorf("got %v", err)
	}
	if wrong, ok := errors.AsType[*provider.DimensionsError](err); !ok || wrong.Got != 32 {
		t.Errorf("got %v, want the dimensions of the vectors that were returned", err)
	}
}

// If model.Dimensions is 0, the vectors may have any dimensions, but all the same. A request with
// wrong dimensions does not hold the model for other requests.
func TestUnknownDimensions(t *testing.T) {
	t.Parallel()
	p := fakeprovider.Start(t, fakeprovider.Options{Dimensions: 32})
	models := newOpenAI(t, p)
	for _, name := range []string{"nomic", "text-embedding-3-small"} {
		for _, dimensions := range []int{64, 0} {
			vectors, err := models.Embed(t.Context(), document.Model{Name: name, Dimensions: dimensions}, numberedTexts(3))
			if dimensions == 0 && (err != nil || len(vectors) != 3 || len(vectors[2]) != 32) {
				t.Errorf("%s: got %d vectors, %v; want three of 32 dimensions", name, len(vectors), err)
			}
		}
	}
	p.FailNext(func(a *fakeprovider.Answer) { a.Vectors[1].Vector = a.Vectors[1].Vector[:31] }, 1)
	if _, err := models.Embed(t.Context(), document.Model{Name: "nomic"}, numberedTexts(3)); !fault.Is(err, fault.InputRejected) {
		t.Errorf("vectors of different dimensions: %v", err)
	}
}

// The end of the caller's context is not a failure of the provider, whether the request is in
// flight, waits for its turn or waits for a retry.
func TestCancel(t *testing.T) {
	t.Parallel()
	hanging := make(chan struct{}, 1)
	p := fakeprovider.Start(t, fakeprovider.Options{})
	p.FailNext(func(a *fakeprovider.Answer) {
		fakeprovider.Hang(a)
		hanging <- struct{}{}
	}, -1)
	o := newOpenAI(t, p, func(c *llm.OpenAIConfig) { c.Concurrency = 1 })
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		_, err := o.Embed(ctx, small, numberedTexts(1))
		failed <- err
	}()
	<-hanging
	waiting, stopWaiting := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer stopWaiting()
	if _, err := o.Embed(waiting, small, numberedTexts(1)); !errors.Is(err, context.DeadlineExceeded) || fault.As(err) != nil {
		t.Errorf("waiting for a turn: %v", err)
	}
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) || err.Error() != "embed with model text-embedding-3-small: context canceled" {
		t.Errorf("in flight: %v", err)
	}

	p.FailNext(fakeprovider.RateLimit("2"), -1)
	retrying, stopRetrying := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stopRetrying()
	if _, err := o.Embed(retrying, small, numberedTexts(1)); !errors.Is(err, context.DeadlineExceeded) || fault.As(err) != nil {
		t.Errorf("waiting to retry: %v", err)
	}
}

func TestConcurrencyLimit(t *testing.T) {
	t.Parallel()
	const limit, calls = 2, 6
	p := fakeprovider.Start(t, fakeprovider.Options{})
	hanging := make(chan struct{}, calls)
	p.FailNext(func(a *fakeprovider.Answer) {
		fakeprovider.Hang(a)
		hanging <- struct{}{}
	}, -1)
	// The limit starts at half of its maximum.
	o := newOpenAI(t, p, func(c *llm.OpenAIConfig) { c.Concurrency = 2 * limit })
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range calls {
		wg.Go(func() { _, _ = o.Embed(ctx, small, numberedTexts(1)) })
	}
	for range limit {
		await.Receive(t, hanging)
	}
	if _, err := o.Summarise(ctx, "chat", "", []string{"a"}); err != nil {
		t.Errorf("another model waits too: %v", err)
	}
	cancel()
	wg.Wait()
	if n := p.Counts().EmbeddingRequests; n != limit {
		t.Errorf("%d requests reached the provider, want %d", n, limit)
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	p := fakeprovider.Start(t, fakeprovider.Options{})
	p.FailNext(fakeprovider.Status(500, "once"), 1)
	metrics := telemetry.NewMetrics()
	o := newOpenAI(t, p, func(c *llm.OpenAIConfig) { c.Metrics = metrics })
	if _, err := o.Embed(t.Context(), small, []string{"12345678"}); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Summarise(t.Context(), "chat", "", []string{"a"}); err != nil {
		t.Fatal(err)
	}
	p.FailNext(fakeprovider.RateLimit("60"), 1)
	for range 2 {
		_, _ = o.Embed(t.Context(), small, numberedTexts(1))
	}
	wantMetrics(t, metrics,
		`gristmill_provider_calls_total{model="text-embedding-3-small",operation="embed",outcome="unavailable"} 1`,
		`gristmill_provider_calls_total{model="text-embedding-3-small",operation="embed",outcome="ok"} 1`,
		`gristmill_provider_calls_total{model="text-embedding-3-small",operation="embed",outcome="rate_limited"} 1`,
		`gristmill_provider_tokens_total{model="text-embedding-3-small",operation="embed"} 2`,
		`gristmill_provider_calls_total{model="chat",operation="summarise",outcome="ok"} 1`,
		`gristmill_provider_waits_total{how="refused",model="text-embedding-3-small"} 1`,
		`gristmill_provider_held{model="text-embedding-3-small"} 1`,
		`gristmill_provider_held{model="chat"} 0`,
	)
}

func wantMetrics(t *testing.T, metrics *telemetry.Metrics, want ...string) {
	t.Helper()
	recorder := httptest.NewRecorder()
	metrics.Handler().ServeHTTP(recorder, httptest.NewRequest("GET", "/metrics", nil))
	for _, line := range want {
		if !strings.Contains(recorder.Body.String(), line+"\n") {
			t.Errorf("no %s in the metrics", line)
		}
	}
}

func BenchmarkEmbed(b *testing.B) {
	for _, tt := range []struct {
		name string
		opts fakeprovider.Options
	}{{"base64", fakeprovider.Options{}}, {"floats", fakeprovider.Options{FloatsOnly: true}}} {
		b.Run(tt.name, func(b *testing.B) {
			o := newOpenAI(b, fakeprovider.Start(b, tt.opts))
			texts := make([]string, 64)
			for i := range texts {
				texts[i] = fmt.Sprint(i) + strings.Repeat(" lorem ipsum dolor sit amet", 60)
			}
			model := document.Model{Name: small.Name, Dimensions: 1536}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := o.Embed(b.Context(), model, texts); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*len(texts))/b.Elapsed().Seconds(), "passages/s")
		})
	}
}
