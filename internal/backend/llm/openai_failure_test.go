package llm_test

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/backend/llm"
	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
)

// all applies a fault, which changes the last vector, to every vector of a response.
func all(fault fakeprovider.Fault) fakeprovider.Fault {
	return func(a *fakeprovider.Answer) {
		for i := range a.Vectors {
			fault(&fakeprovider.Answer{Vectors: a.Vectors[:i+1]})
		}
	}
}

// An invalid response is about the texts if the model answers a probe.
func TestInvalidResponses(t *testing.T) {
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
		{"zero", all(fakeprovider.ZeroVector), fakeprovider.Options{}, "only zeros"},
		{"one vector", fakeprovider.Raw(`{"data":[{"index":0,"embedding":"AAAA"}]}`), fakeprovider.Options{}, "1 vectors for 4 texts"},
		{"no indexes", fakeprovider.Raw(`{"data":[{},{},{},{}]}`), fakeprovider.Options{}, "two vectors with index 0"},
		{"no objects", fakeprovider.Raw(`{"data":[1,2,3,4]}`), fakeprovider.Options{}, "did not return a list of embeddings"},
		{"no JSON", fakeprovider.Raw(`{"data":[{"index":0,"embedding":[0.1,oops]}]}`), fakeprovider.Options{}, "did not return a list of embeddings"},
		{"endless", fakeprovider.Raw(`{"data":[` + strings.Repeat(" ", 5<<20) + `]}`), fakeprovider.Options{}, "more than"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := fakeprovider.Start(t, tt.opts)
			p.FailNext(tt.fault, 1)
			got, err := newOpenAI(t, p).Embed(t.Context(), small, numberedTexts(4))
			if e := fault.As(err); e == nil || e.Kind != fault.InputRejected || !strings.Contains(e.Detail, tt.want) || got != nil {
				t.Errorf("got %d vectors and %v, want fault.InputRejected: %s", len(got), err, tt.want)
			}
			if n := p.Counts().EmbeddingRequests; n != 2 {
				t.Errorf("%d requests, want one and a probe: an invalid response must not be paid for again", n)
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
		// One request more than those for the texts is the probe.
		{"down", fakeprovider.Status(503, "overloaded"), fault.Unavailable, "answered 503: overloaded", 5 * time.Second, 3 + 1},
		{"down for long", fakeprovider.Status(503, "overloaded", "Retry-After", "60"), fault.Unavailable, "overloaded", time.Minute, 1 + 1},
		{"breaks off", fakeprovider.TruncatedJSON, fault.InterruptedResponse, "broke off", 0, 3 + 1},
		{"stops in the middle", fakeprovider.Raw(`{"data":[{"index":0,"embed`), fault.InterruptedResponse, "broke off", 0, 3 + 1},
		{"unknown key", fakeprovider.Status(401, "Incorrect API key provided: sk-very-****"), fault.Misconfigured, "GRISTMILL_OPENAI_API_KEY", time.Second, 1 + 1},
		{"forbidden", fakeprovider.Status(403, "no access for "+secret), fault.Misconfigured, "no access for [key]", time.Second, 1 + 1},
		{"unknown model", fakeprovider.Status(404, "The model `m` does not exist"), fault.Misconfigured, "answered 404: The model `m` does not exist", time.Second, 1 + 1},
		{"everything refused", fakeprovider.Status(400, "bad input"), fault.Misconfigured, "the model refuses every other text too", time.Second, 1 + 1},
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
				t.Errorf("%q contains the key", err)
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
		{"rate limited for a moment", fakeprovider.RateLimit("0.05"), 2, 2 + 2}, // with a probe after each
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
		t.Errorf("%v does not wrap its cause", err)
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
		t.Errorf("%d requests, want one and a probe: a timeout is not retried", n)
	}
}
