package llm_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
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

// newOpenAI returns a client of p, as client does.
func newOpenAI(t testing.TB, p *fakeprovider.Provider, change ...func(*llm.OpenAIConfig)) *llm.OpenAI {
	t.Helper()
	return newOpenAIAt(t, p.URL(), change...)
}

// newOpenAIAt returns a client of the server at the address, with a pace of its own.
// Its log goes to the test.
func newOpenAIAt(t testing.TB, baseURL string, change ...func(*llm.OpenAIConfig)) *llm.OpenAI {
	t.Helper()
	cfg := llm.OpenAIConfig{
		BaseURL:     baseURL,
		APIKey:      secret,
		RateLimiter: newRateLimiter(t, "redis://"+miniredis.RunT(t).Addr()),
		Metrics:     telemetry.NewMetrics(),
		Log:         slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	for _, c := range change {
		c(&cfg)
	}
	o, err := llm.NewOpenAI(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// newRateLimiter returns the pace that is shared through a Redis.
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

func TestEmbedNothingSendsNothing(t *testing.T) {
	t.Parallel()
	p := fakeprovider.Start(t, fakeprovider.Options{})
	got, err := newOpenAI(t, p).Embed(t.Context(), small, nil)
	if err != nil || len(got) != 0 || p.Counts().EmbeddingRequests != 0 {
		t.Errorf("got %v, %v after %d requests", got, err, p.Counts().EmbeddingRequests)
	}
}

// TestDimensionsParameter: servers refuse the parameter for models that have
// one length of vector only.
func TestDimensionsParameter(t *testing.T) {
	t.Parallel()
	p := fakeprovider.Start(t, fakeprovider.Options{Dimensions: 32})
	_, err := newOpenAI(t, p).Embed(t.Context(), document.Model{Name: "nomic", Dimensions: 64}, numberedTexts(1))
	if e := fault.As(err); e == nil || e.Kind != fault.Misconfigured ||
		!strings.Contains(e.Detail, "model nomic") || !strings.Contains(e.Detail, "answered vectors of 32 dimensions, not 64") {
		t.Errorf("got %v", err)
	}
	if wrong, ok := errors.AsType[*provider.DimensionsError](err); !ok || wrong.Got != 32 {
		t.Errorf("got %v, want the length that was answered", err)
	}
}

// A length that nobody knows is the model's own, and of all its vectors. That it
// is another one than somebody wants holds nobody else up.
func TestLengthIsLearnt(t *testing.T) {
	t.Parallel()
	p := fakeprovider.Start(t, fakeprovider.Options{Dimensions: 32})
	models := newOpenAI(t, p)
	for _, name := range []string{"nomic", "text-embedding-3-small"} {
		for _, length := range []int{64, 0} {
			vectors, err := models.Embed(t.Context(), document.Model{Name: name, Dimensions: length}, numberedTexts(3))
			if length == 0 && (err != nil || len(vectors) != 3 || len(vectors[2]) != 32) {
				t.Errorf("%s: got %d vectors, %v; want three of 32 dimensions", name, len(vectors), err)
			}
		}
	}
	p.FailNext(func(a *fakeprovider.Answer) { a.Vectors[1].Vector = a.Vectors[1].Vector[:31] }, 1)
	if _, err := models.Embed(t.Context(), document.Model{Name: "nomic"}, numberedTexts(3)); !fault.Is(err, fault.InputRejected) {
		t.Errorf("vectors of two lengths: %v", err)
	}
}

// all has every vector of an answer meet what the last one does.
func all(fault fakeprovider.Fault) fakeprovider.Fault {
	return func(a *fakeprovider.Answer) {
		for i := range a.Vectors {
			fault(&fakeprovider.Answer{Vectors: a.Vectors[:i+1]})
		}
	}
}

// An answer that is none is about the texts where the model answers a probe.
func TestBadAnswers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		fault fakeprovider.Fault
		opts  fakeprovider.Options
		want  string
	}{
		{"count", fakeprovider.WrongCount, fakeprovider.Options{}, "3 vectors for 4 texts"},
		{"duplicate index", fakeprovider.DuplicateIndex, fakeprovider.Options{}, "two vectors with index 0"},
		{"index out of range", fakeprovider.IndexOutOfRange, fakeprovider.Options{}, "index 4 for 4 texts"},
		{"not a number", all(fakeprovider.NaN), fakeprovider.Options{}, "not finite"},
		{"not a number, in JSON", all(fakeprovider.NaN), fakeprovider.Options{FloatsOnly: true}, "not finite"},
		{"zero", all(fakeprovider.ZeroVector), fakeprovider.Options{}, "nothing but zeros"},
		{"one vector", fakeprovider.Raw(`{"data":[{"index":0,"embedding":"AAAA"}]}`), fakeprovider.Options{}, "1 vectors for 4 texts"},
		{"no indexes", fakeprovider.Raw(`{"data":[{},{},{},{}]}`), fakeprovider.Options{}, "two vectors with index 0"},
		{"no objects", fakeprovider.Raw(`{"data":[1,2,3,4]}`), fakeprovider.Options{}, "not a list of embeddings"},
		{"no JSON", fakeprovider.Raw(`{"data":[{"index":0,"embedding":[0.1,oops]}]}`), fakeprovider.Options{}, "not a list of embeddings"},
		{"endless", fakeprovider.Raw(`{"data":[` + strings.Repeat(" ", 5<<20) + `]}`), fakeprovider.Options{}, "more than"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := fakeprovider.Start(t, tt.opts)
			p.FailNext(tt.fault, 1)
			got, err := newOpenAI(t, p).Embed(t.Context(), small, numberedTexts(4))
			if e := fault.As(err); e == nil || e.Kind != fault.InputRejected || !strings.Contains(e.Detail, tt.want) || got != nil {
				t.Errorf("got %d vectors and %v, want refused: %s", len(got), err, tt.want)
			}
			if n := p.Counts().EmbeddingRequests; n != 2 {
				t.Errorf("asked %d times, want once and a probe: a bad answer must not be paid for again", n)
			}
		})
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		fault    fakeprovider.Fault
		kind     fault.Kind
		detail   string
		after    time.Duration
		requests int
	}{
		{"rate limited for long", fakeprovider.RateLimit("30"), fault.RateLimited, "answered 429: rate limit reached", 30 * time.Second, 1},
		{"rate limited by its limits", fakeprovider.Status(429, "slow down", "X-RateLimit-Remaining-Tokens", "0", "X-RateLimit-Reset-Tokens", "6m0s"),
			fault.RateLimited, "slow down", 6 * time.Minute, 1},
		// One request more than were sent for the texts is the probe.
		{"down", fakeprovider.Status(503, "overloaded"), fault.Unavailable, "answered 503: overloaded", 5 * time.Second, 3 + 1},
		{"down for long", fakeprovider.Status(503, "overloaded", "Retry-After", "60"), fault.Unavailable, "overloaded", time.Minute, 1 + 1},
		{"breaks off", fakeprovider.TruncatedJSON, fault.InterruptedResponse, "broke off", 0, 3 + 1},
		{"stops in the middle", fakeprovider.Raw(`{"data":[{"index":0,"embed`), fault.InterruptedResponse, "broke off", 0, 3 + 1},
		{"unknown key", fakeprovider.Status(401, "Incorrect API key provided: sk-very-****"), fault.Misconfigured, "GRISTMILL_OPENAI_API_KEY", time.Second, 1 + 1},
		{"forbidden", fakeprovider.Status(403, "no access for "+secret), fault.Misconfigured, "no access for [key]", time.Second, 1 + 1},
		{"unknown model", fakeprovider.Status(404, "The model `m` does not exist"), fault.Misconfigured, "answered 404: The model `m` does not exist", time.Second, 1 + 1},
		{"everything refused", fakeprovider.Status(400, "bad input"), fault.Misconfigured, "does not take any other text either", time.Second, 1 + 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := fakeprovider.Start(t, fakeprovider.Options{})
			p.FailNext(tt.fault, -1)
			_, err := newOpenAI(t, p).Embed(t.Context(), small, numberedTexts(2))
			e := fault.As(err)
			if e == nil || e.Kind != tt.kind || !strings.Contains(e.Detail, tt.detail) || e.RetryAfter != tt.after {
				t.Errorf("got %+v, want %s: …%s… after %s", e, tt.kind, tt.detail, tt.after)
			}
			if !strings.Contains(e.Detail, "127.0.0.1:") {
				t.Errorf("%q does not name the host", e.Detail)
			}
			if strings.Contains(err.Error(), "sk-very") {
				t.Errorf("%q shows the key", err)
			}
			if n := p.Counts().EmbeddingRequests; n != tt.requests {
				t.Errorf("%d requests, want %d", n, tt.requests)
			}
		})
	}
}

func TestQuickRetries(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		fault    fakeprovider.Fault
		n        int
		requests int
	}{
		{"unavailable", fakeprovider.Status(502, "bad gateway"), 2, 3},
		{"truncated", fakeprovider.TruncatedJSON, 1, 2},
		{"rate limited for a moment", fakeprovider.RateLimit("0.05"), 2, 2 + 2}, // with probes after either
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := fakeprovider.Start(t, fakeprovider.Options{})
			p.FailNext(tt.fault, tt.n)
			got, err := newOpenAI(t, p).Embed(t.Context(), small, numberedTexts(3))
			if err != nil || len(got) != 3 {
				t.Fatalf("got %d vectors, %v", len(got), err)
			}
			if n := p.Counts().EmbeddingRequests; n != tt.requests {
				t.Errorf("%d requests, want %d", n, tt.requests)
			}
		})
	}
}

func TestRateLimitWithoutHeadersGrows(t *testing.T) {
	t.Parallel()
	p := fakeprovider.Start(t, fakeprovider.Options{})
	p.FailNext(fakeprovider.RateLimit(""), -1)
	_, err := newOpenAI(t, p).Embed(t.Context(), small, numberedTexts(1))
	if e := fault.As(err); e == nil || e.Kind != fault.RateLimited || e.RetryAfter != 4*time.Second {
		t.Errorf("got %+v, want rate limited after 4s", e)
	}
}

func TestConnectionRefused(t *testing.T) {
	t.Parallel()
	p := fakeprovider.Start(t, fakeprovider.Options{})
	o := newOpenAI(t, p)
	p.Close()
	_, err := o.Embed(t.Context(), small, numberedTexts(1))
	if e := fault.As(err); e == nil || e.Kind != fault.Unavailable || e.RetryAfter == 0 || !strings.Contains(e.Detail, "cannot be reached") {
		t.Errorf("got %+v, want unavailable", e)
	}
	if _, ok := errors.AsType[*net.OpError](err); !ok {
		t.Errorf("%v hides its cause", err)
	}
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	p := fakeprovider.Start(t, fakeprovider.Options{})
	p.FailNext(fakeprovider.Hang, -1)
	o := newOpenAI(t, p, func(c *llm.OpenAIConfig) { c.Timeout = 20 * time.Millisecond })
	_, err := o.Embed(t.Context(), small, numberedTexts(1))
	if e := fault.As(err); e == nil || e.Kind != fault.Unavailable || e.RetryAfter == 0 || !strings.Contains(e.Detail, "within 20ms") {
		t.Errorf("got %+v, want unavailable", e)
	}
	if n := p.Counts().EmbeddingRequests; n > 2 {
		t.Errorf("%d requests, want one and a probe: a timeout is no reason for another", n)
	}
}

// TestCancel: the caller's end is the caller's, not the provider's failure,
// whether the request is under way, waiting for its turn or to be retried.
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
	waiting, giveUp := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer giveUp()
	if _, err := o.Embed(waiting, small, numberedTexts(1)); !errors.Is(err, context.DeadlineExceeded) || fault.As(err) != nil {
		t.Errorf("waiting for a turn: %v", err)
	}
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) || err.Error() != "embed with model text-embedding-3-small: context canceled" {
		t.Errorf("under way: %v", err)
	}

	p.FailNext(fakeprovider.RateLimit("2"), -1)
	retrying, giveUp := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer giveUp()
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
	// It begins with half of what it may grow to.
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
