package fault_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/test/fakeprovider"
)

// gate stands before the provider. While it is shut, requests for embeddings
// wait there, and those whose clients die never reach the provider.
type gate struct {
	*httptest.Server

	mu      sync.Mutex
	open    chan struct{} // closed while the gate is open
	chats   bool          // those for summaries wait too
	waiting map[string]int
}

// The paths of what a provider is asked for.
const (
	embeddingsPath = "/v1/embeddings"
	chatsPath      = "/v1/chat/completions"
)

func newGate(t *testing.T, provider *fakeprovider.Provider) *gate {
	t.Helper()
	g := &gate{open: make(chan struct{}), waiting: map[string]int{}}
	close(g.open)
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !g.pass(r) {
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
	if bytes.Contains(body, []byte(document.ProbeText)) {
		return true // whether the model answers at all is not what is held up
	}
	path := r.URL.Path
	g.mu.Lock()
	open := g.open
	if path != embeddingsPath && !(path == chatsPath && g.chats) {
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

// shut has requests for embeddings wait from now on.
func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = make(chan struct{})
}

// shutAll has those for summaries wait too.
func (g *gate) shutAll() {
	g.shut()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.chats = true
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

// held is how many requests for embeddings wait.
func (g *gate) held() int { return g.heldOf(embeddingsPath) }

// heldOf is how many requests to a path wait.
func (g *gate) heldOf(path string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.waiting[path]
}
