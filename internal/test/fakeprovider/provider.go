// Package fakeprovider is a model provider for tests and benchmarks. It speaks the OpenAI protocol
// over real HTTP and answers deterministically at almost no cost. On demand it is slow, limited or
// broken.
package fakeprovider

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Options define how the provider behaves. With the zero value it answers immediately and has no
// limits.
type Options struct {
	Latency        time.Duration // latency of every answer
	TextsPerSecond float64       // rate at which texts are embedded, one after another; 0 for no limit
	Parallel       int           // maximum number of embedding requests processed at a time, others wait; 0 for no limit

	// Limits per minute, announced in OpenAI's headers. Requests beyond them are answered 429 with
	// Retry-After. 0 for no limit and no headers.
	RequestsPerMinute, TokensPerMinute int

	// Models are the known embedding models and the dimensions of their vectors, which override
	// those of the request; 0 for those of the request. Unknown models are answered 404, as OpenAI
	// does. nil to know every model.
	Models map[string]int

	Dimensions  int    // dimensions if neither the request nor the model gives them; default 1536
	MaxTexts    int    // maximum number of texts in a request, as OpenAI has; default 2048
	APIKey      string // other keys are answered 401; empty to accept every key
	FloatsOnly  bool   // ignore encoding_format, as some servers do
	Semantic    bool   // vectors of llm.LocalEmbedder, so that searches find something
	RecordTexts bool   // keep every text, for EmbeddedTexts; costs memory
}

// Provider is a running provider. It is safe for concurrent use.
type Provider struct {
	opts     Options
	listener net.Listener
	server   *http.Server
	slots    chan struct{} // nil for no limit
	limits   limits
	vectors  vectors

	closeOnce sync.Once
	closing   chan struct{} // closed when Close starts
	done      chan struct{} // closed when the server has ended

	inFlight atomic.Int64 // number of requests

	mu              sync.Mutex
	busyUntil       time.Time // when all accepted texts will be done
	counts          Counts
	embedded        map[document.Model]map[string]int
	script          Script // has priority over all schedules
	embeddingFaults faultSchedule
	modelFaults     map[string]*faultSchedule // by model; has priority over embeddingFaults
	faultySubstring string                    // requests with a text that contains it get substringFault, which has priority over all other faults
	substringFault  Fault
	chatFaults      faultSchedule

	chatTokens []int // max_tokens of each chat request
}

// New starts a provider on a free port of the loopback interface. The caller must call Close.
func New(opts Options) (*Provider, error) {
	if opts.Dimensions == 0 {
		opts.Dimensions = 1536
	}
	if opts.MaxTexts == 0 {
		opts.MaxTexts = 2048
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start fake provider: %w", err)
	}
	p := &Provider{
		opts:        opts,
		listener:    listener,
		closing:     make(chan struct{}),
		done:        make(chan struct{}),
		limits:      newLimits(opts.RequestsPerMinute, opts.TokensPerMinute),
		vectors:     vectors{semantic: opts.Semantic},
		modelFaults: make(map[string]*faultSchedule),
		embedded:    make(map[document.Model]map[string]int),
	}
	if opts.Parallel > 0 {
		p.slots = make(chan struct{}, opts.Parallel)
	}
	p.server = &http.Server{Handler: p}
	go func() {
		defer close(p.done)
		_ = p.server.Serve(listener) // returns after Close
	}()
	return p, nil
}

// Start starts a provider that is closed when the test ends.
func Start(t testing.TB, opts Options) *Provider {
	t.Helper()
	p, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// URL returns the base URL for clients, which ends in /v1.
func (p *Provider) URL() string { return "http://" + p.listener.Addr().String() + "/v1" }

// Close aborts the running requests and frees the port. Afterwards connections are refused.
func (p *Provider) Close() {
	p.closeOnce.Do(func() {
		close(p.closing)
		_ = p.server.Close()
		<-p.done
	})
}

// simulateWork waits as long as the texts take: until a slot is free, then for the latency or for
// the texts before and including these, whichever is longer.
func (p *Provider) simulateWork(ctx context.Context, texts int) error {
	if p.slots != nil {
		select {
		case p.slots <- struct{}{}:
			defer func() { <-p.slots }()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return p.wait(ctx, max(p.opts.Latency, p.reserveTime(texts)))
}

// reserveTime reserves time for the texts and returns how long it takes until they are done.
func (p *Provider) reserveTime(texts int) time.Duration {
	if p.opts.TextsPerSecond == 0 {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.busyUntil.Before(now) {
		p.busyUntil = now
	}
	p.busyUntil = p.busyUntil.Add(time.Duration(float64(texts) / p.opts.TextsPerSecond * float64(time.Second)))
	return p.busyUntil.Sub(now)
}

func (p *Provider) wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-p.closing:
		return http.ErrServerClosed
	}
}
