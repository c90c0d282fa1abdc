package embedding_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/seed-7a112592/gristmill/internal/embedding"
	"github.com/seed-7a112592/gristmill/internal/embedding/embeddingtest"
	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/provider"
	"github.com/seed-7a112592/gristmill/internal/telemetry"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// fakeBackend is a space, and a model that embeds into it.
type fakeBackend struct {
	mu          sync.Mutex
	passages    map[document.ContentHash]vector.EmbeddedPassage
	writes      []int          // passages of each write
	complete    int            // completed requests
	sent        map[string]int // by text
	requests    []int          // texts of each provider request
	inFlight    int
	maxInFlight int // most requests in flight

	answer func(ctx context.Context, texts []string) error // the outcome of a provider request; nil accepts all
	bad    func(text string, alone bool) bool              // reports which texts get no vector
}

func (m *fakeBackend) ReusePassages(_ context.Context, _ vector.Space, hashes []document.ContentHash) (map[document.ContentHash]int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := map[document.ContentHash]int{}
	for _, hash := range hashes {
		if p, ok := m.passages[hash]; ok {
			known[hash] = p.EmbeddedBytes
		}
	}
	return known, nil
}

func (m *fakeBackend) Embed(ctx context.Context, model document.Model, texts []string) ([][]float32, error) {
	m.mu.Lock()
	m.requests = append(m.requests, len(texts))
	m.inFlight++
	m.maxInFlight = max(m.maxInFlight, m.inFlight)
	for _, text := range texts {
		m.sent[text]++
	}
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		m.inFlight--
		m.mu.Unlock()
	}()
	if m.answer != nil {
		if err := m.answer(ctx, texts); err != nil {
			return nil, err
		}
	}
	vectors, wrong := make([][]float32, len(texts)), map[int]string{}
	for i, text := range texts {
		if m.bad != nil && m.bad(text, len(texts) == 1) {
			wrong[i] = "a vector with null"
			continue
		}
		vectors[i] = []float32{float32(len(text))}
	}
	switch len(wrong) {
	case 0:
		return vectors, nil
	case len(texts):
		return nil, fault.New(fault.InputRejected, "host answered a vector with null")
	default:
		return vectors, fault.Wrap(fault.InputRejected, &provider.InvalidVectorsError{Reasons: wrong}, "host answered a vector with null")
	}
}

// newRequest returns a request for the texts. Its Write completes the request only if all of them
// are stored.
func (m *fakeBackend) newRequest(texts ...string) embedding.EnsureRequest {
	req := embedding.EnsureRequest{Tenant: "default", Space: vector.Space{ID: 1, Model: document.Model{Name: "m", Dimensions: 1}}}
	for _, text := range texts {
		req.Texts.Add(document.HashText(text), document.PassageText{Content: text, Tokens: len(text)})
	}
	req.Write = func(ctx context.Context, fresh []vector.EmbeddedPassage, complete bool) error {
		m.mu.Lock()
		defer m.mu.Unlock()
		if err := ctx.Err(); err != nil {
			return err
		}
		m.writes = append(m.writes, len(fresh))
		for _, p := range fresh {
			m.passages[p.Hash] = p
		}
		if !complete {
			return nil
		}
		for _, text := range texts {
			p, ok := m.passages[document.HashText(text)]
			if !ok {
				return fault.New(fault.Conflict, "passage was deleted")
			}
			if p.Content != text || p.Vector[0] != float32(cmp.Or(p.EmbeddedBytes, len(text))) {
				return fmt.Errorf("%q is stored as %q with %v", text, p.Content, p.Vector)
			}
		}
		m.complete++
		return nil
	}
	return req
}

// sentTwice reports whether a text was sent more than once.
func (m *fakeBackend) sentTwice() bool {
	return slices.ContainsFunc(slices.Collect(maps.Values(m.sent)), func(n int) bool { return n > 1 })
}

// newCache returns a cache with a backend of its own. change adapts its configuration.
func newCache(t *testing.T, change ...func(*embedding.CacheConfig)) (*embedding.Cache, *fakeBackend) {
	t.Helper()
	m := &fakeBackend{passages: map[document.ContentHash]vector.EmbeddedPassage{}, sent: map[string]int{}}
	config := embedding.CacheConfig{
		Store: m, Embedder: m, Process: embeddingtest.NewProcessState(t, embeddingtest.NopLocks{}), Metrics: telemetry.NewMetrics(),
		BatchPassages: 10, BatchTokens: 1 << 20, MaxInFlight: 4,
	}
	for _, c := range change {
		c(&config)
	}
	cache, err := embedding.NewCache(config)
	if err != nil {
		t.Fatal(err)
	}
	return cache, m
}

// words returns n texts that begin with name.
func words(name string, n int) []string {
	words := make([]string, n)
	for i := range words {
		words[i] = fmt.Sprintf("%s %03d", name, i)
	}
	return words
}
