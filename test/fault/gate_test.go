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

// providerGate is a proxy in front of the provider. While it is closed, embedding requests wait
// there, and requests whose clients disconnect never reach the provider.
type providerGate struct {
	*httptest.Server

	mu        sync.Mutex
	open      chan struct{} // a closed channel while the gate is open
	holdChats bool          // chat requests wait too
	waiting   map[string]int
}

// The provider's paths.
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

// waitOpen waits until the gate is open. It returns false if the client disconnects, which a server
// notices only after it has read the body.
func (g *providerGate) waitOpen(r *http.Request) bool {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return false
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if bytes.Contains(body, []byte(provider.ProbeText)) {
		return true // probes pass: the tests hold work, not the check whether the model answers
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

// holdEmbeddings makes embedding requests wait from now on.
func (g *providerGate) holdEmbeddings() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = make(chan struct{})
}

// holdAll makes embedding and chat requests wait from now on.
func (g *providerGate) holdAll() {
	g.holdEmbeddings()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.holdChats = true
}

// release opens the gate for the waiting and all later requests.
func (g *providerGate) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.open:
	default:
		close(g.open)
	}
}

// heldEmbeddings returns the number of waiting embedding requests.
func (g *providerGate) heldEmbeddings() int { return g.heldRequests(embeddingsPath) }

// heldRequests returns the number of waiting requests to a path.
func (g *providerGate) heldRequests(path string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.waiting[path]
}
