package llm_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/backend/llm"
	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/test/await"
)

const poison = "the text that no model takes"

// failures are the ways in which a provider can fail on one text.
var failures = map[string]func(w http.ResponseWriter, r recordedRequest){
	"5xx": func(w http.ResponseWriter, _ recordedRequest) { http.Error(w, `{"error":{"message":"boom"}}`, 500) },
	"5xx with Retry-After": func(w http.ResponseWriter, _ recordedRequest) {
		w.Header().Set("Retry-After", "60")
		http.Error(w, "boom", 503)
	},
	"a firewall's 403": func(w http.ResponseWriter, _ recordedRequest) {
		http.Error(w, "<html><title>Request blocked</title></html>", 403)
	},
	"a page with 200": func(w http.ResponseWriter, _ recordedRequest) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<html><title>Request blocked</title></html>")
	},
	"an error with 200": func(w http.ResponseWriter, _ recordedRequest) {
		fmt.Fprint(w, `{"error":"CUDA error: device-side assert"}`)
	},
	"hangs":    func(_ http.ResponseWriter, r recordedRequest) { <-r.Context().Done() },
	"vanishes": func(http.ResponseWriter, recordedRequest) { panic(http.ErrAbortHandler) },
}

// A text on which the provider fails affects no other text, also if no other request is sent: a
// batch with it is refused after a few failures, the text alone after about ten, and no other
// request waits for it.
func TestBadTextIsNoOutage(t *testing.T) {
	t.Parallel()
	for name, fail := range failures {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var failed atomic.Int64
			o, _ := newScriptedProvider(t, func(w http.ResponseWriter, r recordedRequest) bool {
				if !r.holds(poison) {
					return false
				}
				failed.Add(1)
				fail(w, r)
				return true
			}, func(c *llm.OpenAIConfig) { c.Timeout = 300 * time.Millisecond })

			await.Until(t, "the batch is refused", func() bool {
				_, err := o.Embed(t.Context(), small, append(numberedTexts(4), poison))
				if !fault.Is(err, fault.InputRejected) && !fault.Is(err, fault.Unavailable) {
					t.Fatalf("batch: %v", err)
				}
				wantEmbedded(t, o)
				return fault.Is(err, fault.InputRejected)
			})
			failed.Store(0)
			await.Until(t, "the text is refused", func() bool {
				_, err := o.Embed(t.Context(), small, []string{poison})
				if e := fault.As(err); e == nil || e.Kind == fault.InputRejected && !strings.Contains(e.Detail, "failed repeatedly") {
					t.Fatalf("text: %v", err)
				}
				wantEmbedded(t, o)
				return fault.Is(err, fault.InputRejected)
			})
			if n := failed.Load(); n < 3 || n > 14 {
				t.Errorf("the text was sent %d times", n)
			}
		})
	}
}

// The same is true for a summary.
func TestBadSummaryIsNoOutage(t *testing.T) {
	t.Parallel()
	o, _ := newScriptedProvider(t, func(w http.ResponseWriter, r recordedRequest) bool {
		if r.holds(poison) {
			http.Error(w, "boom", 500)
		}
		return r.holds(poison)
	})
	if _, err := o.Summarise(t.Context(), "chat", "", []string{poison}); !fault.Is(err, fault.InputRejected) {
		t.Fatalf("got %v", err)
	}
	if _, err := o.Summarise(t.Context(), "chat", "", []string{"a"}); err != nil {
		t.Fatal(err)
	}
}

// Many such texts at the same time, from several callers, do not delay other requests either.
func TestManyBadTextsAreNoOutage(t *testing.T) {
	t.Parallel()
	o, _ := newScriptedProvider(t, func(w http.ResponseWriter, r recordedRequest) bool {
		if r.holds(poison) {
			http.Error(w, "boom", 500)
		}
		return r.holds(poison)
	})
	results := make(chan error)
	const texts = 12
	for i := range texts {
		go func() {
			_, err := o.Embed(t.Context(), small, []string{fmt.Sprint(poison, i)})
			results <- err
		}()
	}
	for refused := 0; refused < texts; {
		select {
		case err := <-results:
			if !fault.Is(err, fault.InputRejected) {
				t.Errorf("got %v", err)
			}
			refused++
		default:
			wantEmbedded(t, o)
		}
	}
}

// A bad text does not prolong a hold: after a hold, a probe is sent first.
func TestBadTextDoesNotProlongHold(t *testing.T) {
	t.Parallel()
	c := newClock(t)
	var down atomic.Bool
	o, _ := newScriptedProvider(t, func(w http.ResponseWriter, r recordedRequest) bool {
		if r.holds(poison) || down.Load() {
			http.Error(w, "boom", 500)
			return true
		}
		return false
	}, c.config(t))
	down.Store(true)
	await.Until(t, "the model is held", func() bool {
		_, err := o.Embed(t.Context(), small, numberedTexts(1))
		return strings.Contains(err.Error(), "no requests are sent")
	})
	down.Store(false)
	c.add(time.Minute)
	ctx, cancel := context.WithTimeout(t.Context(), await.Deadline)
	defer cancel()
	if _, err := o.Embed(ctx, small, []string{poison}); !fault.Is(err, fault.InputRejected) {
		t.Errorf("got %v", err)
	}
	wantEmbedded(t, o)
}

// A text is not refused during an outage, because the provider answers no other requests either.
func TestOutageRefusesNoText(t *testing.T) {
	t.Parallel()
	for name, fail := range failures {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClock(t)
			o, _ := newScriptedProvider(t, func(w http.ResponseWriter, r recordedRequest) bool {
				fail(w, r)
				return true
			}, func(cfg *llm.OpenAIConfig) {
				cfg.Timeout = 50 * time.Millisecond
				c.config(t)(cfg)
			})
			for i := range 20 {
				_, err := o.Embed(t.Context(), small, numberedTexts(1+i%2))
				if e := fault.As(err); e == nil || e.Kind != fault.Unavailable && e.Kind != fault.Misconfigured || e.RetryAfter == 0 {
					t.Fatalf("call %d: got %v", i, err)
				}
				c.add(time.Minute)
			}
		})
	}
}

// A refused text is refused immediately, and other texts are accepted.
func TestRefusedTexts(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status int
		body   string
		want   fault.Kind
	}{
		"400":           {400, `{"error":{"message":"Input contains an invalid character"}}`, fault.InputRejected},
		"413":           {413, "", fault.InputTooLong},
		"422":           {422, `{"detail":[{"loc":["body","input",0],"msg":"value is not allowed"}]}`, fault.InputRejected},
		"500, too long": {500, `{"error":{"code":500,"message":"input (1024 tokens) is too large to process. increase the physical batch size (current batch size: 512)"}}`, fault.InputTooLong},
		"200, too long": {200, `{"error":"the input length exceeds the context length"}`, fault.InputTooLong},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, requests := newScriptedProvider(t, func(w http.ResponseWriter, r recordedRequest) bool {
				if r.holds(poison) {
					w.WriteHeader(test.status)
					fmt.Fprint(w, test.body)
				}
				return r.holds(poison)
			})
			for range 20 {
				if _, err := o.Embed(t.Context(), small, []string{poison}); !fault.Is(err, test.want) {
					t.Fatalf("got %v, want %s", err, test.want)
				}
			}
			wantEmbedded(t, o)
			if n := requests.Load(); n != 2*20+1 {
				t.Errorf("%d requests, want one and a probe for each of 20 calls, and 1", n)
			}
		})
	}
}

// A setting that is wrong for a while fails nothing: requests wait, and continue when it is right.
func TestTemporarilyWrongKey(t *testing.T) {
	t.Parallel()
	c := newClock(t)
	var wrong atomic.Int64
	wrong.Store(5)
	o, _ := newScriptedProvider(t, func(w http.ResponseWriter, r recordedRequest) bool {
		if wrong.Add(-1) < 0 {
			return false
		}
		http.Error(w, `{"error":{"message":"Incorrect API key"}}`, http.StatusUnauthorized)
		return true
	}, c.config(t))
	for tries := 0; ; tries++ {
		_, err := o.Embed(t.Context(), small, numberedTexts(1))
		if err == nil {
			return
		}
		e := fault.As(err)
		if e == nil || e.Kind != fault.Misconfigured || e.RetryAfter < time.Second || e.RetryAfter > time.Minute || tries > 5 {
			t.Fatalf("try %d: %v (%+v)", tries, err, e)
		}
		c.add(e.RetryAfter)
	}
}
