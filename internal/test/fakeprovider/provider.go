// Package fakeprovider is a model provider for tests and benchmarks: it speaks
// the OpenAI protocol over real HTTP, answers deterministically at nearly no
// cost, and can be slow, limited or broken on demand.
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

// Options say how the provider behaves. The zero value answers at once and
// without limit.
type Options struct {
	Latency        time.Duration // of every answer
	TextsPerSecond float64       // how fast texts are embedded, one after another; 0 for no limit
	Parallel       int           // requests for embeddings worked on at once, others wait; 0 for no limit

	// Limits a minute, in OpenAI's headers; more is refused with 429 and
	// Retry-After. 0 for no limit, and no headers.
	RequestsPerMinute, TokensPerMinute int

	// Models are the embedding models there are, each with the length of its
	// vectors whatever a request says; 0 for what it says. Others are refused
	// with 404, as OpenAI does. nil for any.
	Models map[string]int

	Dimensions  int    // of vectors where neither request nor model says; 1536
	MaxTexts    int    // more in one request are refused, as OpenAI does; 2048
	APIKey      string // other keys are refused with 401; empty for any
	FloatsOnly  bool   // ignore encoding_format, as some servers do
	Semantic    bool   // vectors of llm.Local, so that searches find something
	RecordTexts bool   // keep every text, for Embedded; costs memory
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
	closing   chan struct{} // closed when Close begins
	done      chan struct{} // closed when the server has ended

	inFlight atomic.Int64 // requests

	mu              sync.Mutex
	busyUntil       time.Time // when the texts taken so far are done
	counts          Counts
	embedded        map[document.Model]map[string]int
	script          Script // goes before all schedules
	embeddingFaults faultSchedule
	modelFaults     map[string]*faultSchedule // of embeddings by one model; goes before embed
	faultySubstring string                    // texts that hold it meet refused, before all
	substringFault  Fault
	chatFaults      faultSchedule

	chatTokens []int // max_tokens of each request for a chat completion
}

// New starts a provider on a free port of the loopback interface. The caller
// must Close it.
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
		_ = p.server.Serve(listener) // ends with Close
	}()
	return p, nil
}

// Start starts a provider that ends with the test.
func Start(t testing.TB, opts Options) *Provider {
	t.Helper()
	p, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// URL is the base URL for clients, up to and with /v1.
func (p *Provider) URL() string { return "http://" + p.listener.Addr().String() + "/v1" }

// Close breaks off requests under way and frees the port. Clients then meet a
// refused connection.
func (p *Provider) Close() {
	p.closeOnce.Do(func() {
		close(p.closing)
		_ = p.server.Close()
		<-p.done
	})
}

// simulateWork takes the time that the texts take: a place among the requests worked
// on at once, the latency, and the texts' turn.
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

// reserveTime reserves the time for the texts and returns how long it is until they
// are done.
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
