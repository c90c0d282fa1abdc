package embedding_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/embedding"
	"github.com/seed-7a112592/gristmill/pkg/embedding/embeddingtest"
	"github.com/seed-7a112592/gristmill/pkg/fault"
	"github.com/seed-7a112592/gristmill/pkg/telemetry"
	"github.com/seed-7a112592/gristmill/pkg/writeback"
)

// memory is a space, and a model that embeds into it.
type memory struct {
	mu       sync.Mutex
	passages map[document.Hash]document.Embedded
	writes   []int // passages
	whole    int   // orders
	sent     map[string]int
	requests []int // texts
	inFlight int
	most     int // requests in flight

	answer func(ctx context.Context, texts []string) error // decides about a request
	bad    func(text string, alone bool) bool              // which texts get no vector
}

func (m *memory) Known(_ context.Context, _ document.Space, hashes []document.Hash) (map[document.Hash]int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := map[document.Hash]int{}
	for _, hash := range hashes {
		if p, ok := m.passages[hash]; ok {
			known[hash] = p.EmbeddedBytes
		}
	}
	return known, nil
}

func (m *memory) Embed(ctx context.Context, model document.Model, texts []string) ([][]float32, error) {
	m.mu.Lock()
	m.requests = append(m.requests, len(texts))
	m.inFlight++
	m.most = max(m.most, m.inFlight)
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
		return nil, fault.New(fault.Refused, "host answered a vector with null")
	default:
		return vectors, fault.Wrap(fault.Refused, &document.VectorsError{Wrong: wrong}, "host answered a vector with null")
	}
}

// order returns an order of passages that are in the space only as a whole.
func (m *memory) order(texts ...string) embedding.Order {
	order := embedding.Order{Tenant: "default", Space: document.Space{ID: 1, Model: document.Model{Name: "m", Dimensions: 1}}}
	for _, text := range texts {
		order.Texts.Add(document.HashText(text), document.Text{Content: text, Tokens: len(text)})
	}
	order.Write = func(ctx context.Context, fresh []document.Embedded, whole bool) error {
		m.mu.Lock()
		defer m.mu.Unlock()
		if err := ctx.Err(); err != nil {
			return err
		}
		m.writes = append(m.writes, len(fresh))
		for _, p := range fresh {
			m.passages[p.Hash] = p
		}
		if !whole {
			return nil
		}
		for _, text := range texts {
			p, ok := m.passages[document.HashText(text)]
			if !ok {
				return fault.New(fault.Conflict, "passage is gone")
			}
			if p.Content != text || p.Vector[0] != float32(cmp.Or(p.EmbeddedBytes, len(text))) {
				return fmt.Errorf("%q is stored as %q with %v", text, p.Content, p.Vector)
			}
		}
		m.whole++
		return nil
	}
	return order
}

func (m *memory) twice() bool {
	return slices.ContainsFunc(slices.Collect(maps.Values(m.sent)), func(n int) bool { return n > 1 })
}

func newBuyer() (*embedding.Buyer, *memory) {
	m := &memory{passages: map[document.Hash]document.Embedded{}, sent: map[string]int{}}
	return &embedding.Buyer{
		Store: m, Embedder: m, Process: embedding.NewProcess(embeddingtest.Alone{}, &writeback.Gate{}), Metrics: telemetry.NewMetrics(),
		BatchPassages: 10, BatchTokens: 1 << 20, Requests: 4,
	}, m
}

// words returns n texts of a name.
func words(name string, n int) []string {
	words := make([]string, n)
	for i := range words {
		words[i] = fmt.Sprintf("%s %03d", name, i)
	}
	return words
}
