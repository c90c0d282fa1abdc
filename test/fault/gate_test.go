package fault_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/seed-7a112592/gristmill/internal/provider"
	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
)

// providerGate stands before the provider. While it is shut, requests for embeddings
// wait there, and those whose clients die never reach the provider.
type providerGate struct {
	*httptest.Server

	mu        sync.Mutex
	open      chan struct{} // closed while the gate is open
	holdChats bool          // those for summaries wait too
	waiting   map[string]int
}

// The paths of what a provider is asked for.
const (
	embeddingsPath = "/v1/embeddings"
	chatsPath      = "/v1/chat/completions"
)

func newProviderGate(t *testing.T, provider *fakeprovider.Provider) *providerGate {
	t.Helper()
	g := &providerGate{open: make(chan struct{}), waiting: map[string]int{}}
	close(g.open)
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !g.waitOpen(r) {
			panic(http.ErrAbortHandler)
		}
		provider.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		g.release()
		g.CloseClientConnections()
		g.Close()
	})
	return g
}

// waitOpen waits until the gate is open. It reports false when the client went,
// which a server notices once it has read all that the client sent.
func (g *providerGate) waitOpen(r *http.Request) bool {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return false
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if bytes.Contains(body, []byte(provider.ProbeText)) {
		return true // whether the model answers at all is not what is held up
	}
	path := r.URL.Path
	g.mu.Lock()
	open := g.open
	if path != embeddingsPath && !(path == chatsPath && g.holdChats) {
		g.mu.Unlock()
		return true
	}
	g.waiting[path]++
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.waiting[path]--
	}()
	select {
	case <-open:
		return true
	case <-r.Context().Done():
		return false
	}
}

// holdEmbeddings has requests for embeddings wait from now on.
func (g *providerGate) holdEmbeddings() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = make(chan struct{})
}

// holdAll has those for summaries wait too.
func (g *providerGate) holdAll() {
	g.holdEmbeddings()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.holdChats = true
}

// release lets all pass that wait, and all that come.
func (g *providerGate) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.open:
	default:
		close(g.open)
	}
}

// heldEmbeddings is how many requests for embeddings wait.
func (g *providerGate) heldEmbeddings() int { return g.heldRequests(embeddingsPath) }

// heldRequests is how many requests to a path wait.
func (g *providerGate) heldRequests(path string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.waiting[path]
}
