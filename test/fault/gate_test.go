package fault_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/seed-7a112592/gristmill/pkg/backend/llm"
	"github.com/seed-7a112592/gristmill/test/fakeprovider"
)

// gate stands before the provider. While it is shut, requests for embeddings
// wait there, and those whose clients die never reach the provider.
type gate struct {
	*httptest.Server

	mu      sync.Mutex
	open    chan struct{} // closed while the gate is open
	waiting int
}

func newGate(t *testing.T, provider *fakeprovider.Provider) *gate {
	t.Helper()
	g := &gate{open: make(chan struct{})}
	close(g.open)
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/embeddings" && !g.pass(r) {
			panic(http.ErrAbortHandler)
		}
		provider.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		g.lift()
		g.CloseClientConnections()
		g.Close()
	})
	return g
}

// pass waits until the gate is open. It reports false when the client went,
// which a server notices once it has read all that the client sent.
func (g *gate) pass(r *http.Request) bool {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return false
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if bytes.Contains(body, []byte(llm.ProbeText)) {
		return true // whether the model answers at all is not what is held up
	}
	g.mu.Lock()
	open := g.open
	g.waiting++
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.waiting--
	}()
	select {
	case <-open:
		return true
	case <-r.Context().Done():
		return false
	}
}

// shut has requests wait from now on.
func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = make(chan struct{})
}

// lift lets all pass that wait, and all that come.
func (g *gate) lift() {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.open:
	default:
		close(g.open)
	}
}

// held is how many requests wait.
func (g *gate) held() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.waiting
}
