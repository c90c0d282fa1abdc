package search_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/internal/embedding"
	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/pipeline/search"
	"github.com/seed-7a112592/gristmill/internal/telemetry"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// fakeBackend is a store with one collection, and an embedding model.
type fakeBackend struct {
	query    vector.Query // of the last search
	model    document.Model
	embedErr error
	hang     bool // the model answers only when the context has ended

	switches []vector.Space // spaces that become active, each after a search of the one before
	embedded int            // number of questions
}

var space = vector.Space{ID: 7, Model: document.Model{Name: "m", Dimensions: 2}}

func (m *fakeBackend) Collection(_ context.Context, name string) (vector.Collection, error) {
	if name != "default" {
		return vector.Collection{}, fault.New(fault.NotFound, "no collection %q", name)
	}
	return vector.Collection{Name: name, ActiveSpace: m.activeSpace()}, nil
}

func (m *fakeBackend) activeSpace() vector.Space {
	if len(m.switches) > 0 {
		return m.switches[0]
	}
	return space
}

func (m *fakeBackend) NearestPassages(_ context.Context, in vector.Space, query vector.Query) ([]document.Hit, error) {
	m.query = query
	if len(m.switches) > 1 {
		m.switches = m.switches[1:]
	}
	if in.ID != m.activeSpace().ID {
		return nil, fault.New(fault.Conflict, "space %d is not the active space", in.ID)
	}
	if len(query.Vector) != in.Model.Dimensions {
		return nil, errors.New("the question was embedded with another model")
	}
	return []document.Hit{{Key: "k.md"}}, nil
}

func (m *fakeBackend) Embed(ctx context.Context, model document.Model, _ []string) ([][]float32, error) {
	m.model = model
	m.embedded++
	if m.hang {
		<-ctx.Done()
		return nil, fmt.Errorf("embed: %w", ctx.Err())
	}
	vector := make([]float32, model.Dimensions)
	vector[0] = 1
	return [][]float32{vector}, m.embedErr
}

const timeout = 900 * time.Millisecond

func newService(t *testing.T) (*search.Service, *fakeBackend) {
	t.Helper()
	m := &fakeBackend{}
	questions, err := embedding.NewQueryEmbedder(embedding.QueryConfig{Embedder: m})
	if err != nil {
		t.Fatal(err)
	}
	service, err := search.NewService(search.Config{Store: m, Questions: questions, EmbedTimeout: timeout, Metrics: telemetry.NewMetrics()})
	if err != nil {
		t.Fatal(err)
	}
	return service, m
}

func TestSearchUsesModelOfActiveSpace(t *testing.T) {
	t.Parallel()
	service, m := newService(t)
	threshold := 0.25
	result, err := service.Search(tenant.With(t.Context(), tenant.Default), document.SearchRequest{
		Query: "how is grain ground?", Limit: 3, Threshold: &threshold, KeyPrefix: "mills/", Metadata: json.RawMessage(`{ "year": 1850 }`),
	})
	if err != nil || len(result.Hits) != 1 {
		t.Fatalf("%+v, %v", result, err)
	}
	if m.model != space.Model {
		t.Errorf("embedded with %v, want the space's model %v", m.model, space.Model)
	}
	want := vector.Query{Vector: []float32{1, 0}, Limit: 3, Threshold: 0.25, KeyPrefix: "mills/", Metadata: json.RawMessage(`{"year":1850}`)}
	if diff := cmp.Diff(want, m.query); diff != "" {
		t.Error(diff)
	}
}

func TestSearchDefaults(t *testing.T) {
	t.Parallel()
	service, m := newService(t)
	if _, err := service.Search(tenant.With(t.Context(), tenant.Default), document.SearchRequest{Query: "grain"}); err != nil {
		t.Fatal(err)
	}
	if m.query.Limit != 10 || m.query.Threshold > -1 {
		t.Errorf("the query is %+v, want limit 10 and no threshold", m.query)
	}
}

func TestInvalidRequests(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		request document.SearchRequest
		kind    fault.Kind
	}{
		{document.SearchRequest{}, fault.BadRequest},
		{document.SearchRequest{Query: " \n"}, fault.BadRequest},
		{document.SearchRequest{Query: "a\x00b"}, fault.BadRequest},
		{document.SearchRequest{Query: "a\xff"}, fault.BadRequest},
		{document.SearchRequest{Query: strings.Repeat("q", 8193)}, fault.BadRequest},
		{document.SearchRequest{Query: "q", Mode: "keyword"}, fault.BadRequest},
		{document.SearchRequest{Query: "q", Mode: "hybrid"}, fault.BadRequest},
		{document.SearchRequest{Query: "q", Mode: "psychic"}, fault.BadRequest},
		{document.SearchRequest{Query: "q", Limit: -1}, fault.BadRequest},
		{document.SearchRequest{Query: "q", Limit: 101}, fault.BadRequest},
		{document.SearchRequest{Query: "q", KeyPrefix: "\x00"}, fault.BadRequest},
		{document.SearchRequest{Query: "q", Metadata: json.RawMessage(`[]`)}, fault.BadRequest},
		{document.SearchRequest{Query: "q", Metadata: json.RawMessage(`{"a":"\u0000"}`)}, fault.BadRequest},
		{document.SearchRequest{Query: "q", Collection: "absent"}, fault.NotFound},
	} {
		service, m := newService(t)
		_, err := service.Search(tenant.With(t.Context(), tenant.Default), test.request)
		if !fault.Is(err, test.kind) {
			t.Errorf("%+v: got error %v, want %s", test.request, err, test.kind)
		}
		if m.model.Name != "" {
			t.Errorf("%+v: the question was embedded anyway", test.request)
		}
	}
}

// An error of the provider is not the client's fault.
func TestProviderErrorMakesSearchUnavailable(t *testing.T) {
	t.Parallel()
	for _, kind := range []fault.Kind{fault.Forbidden, fault.BadRequest, fault.BadResponse, fault.RateLimited, fault.Unavailable} {
		service, m := newService(t)
		m.embedErr = fault.New(kind, "says the provider").WithRetryAfter(3 * time.Second)
		_, err := service.Search(tenant.With(t.Context(), tenant.Default), document.SearchRequest{Query: "q"})
		f := fault.As(err)
		if f == nil || f.Kind != fault.Unavailable || f.RetryAfter != 3*time.Second || !strings.Contains(f.Detail, "says the provider") {
			t.Errorf("%s: got %v, want unavailable with the provider's text and delay", kind, err)
		}
	}
}

// A refused question is the client's fault: a retry would be refused again.
func TestRefusedQuestionIsABadRequest(t *testing.T) {
	t.Parallel()
	for _, kind := range []fault.Kind{fault.InputRejected, fault.InputTooLong} {
		service, m := newService(t)
		m.embedErr = fault.New(kind, "at most 512 tokens")
		_, err := service.Search(tenant.With(t.Context(), tenant.Default), document.SearchRequest{Query: "q"})
		f := fault.As(err)
		if f == nil || f.Kind != fault.BadRequest || f.RetryAfter != 0 || f.Detail != "model m refuses the question: at most 512 tokens" {
			t.Errorf("%s: got %v, want a bad request with the model's text", kind, err)
		}
	}
}

func TestSearchDoesNotWaitForASlowModel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		service, m := newService(t)
		m.hang = true
		defer service.Questions.Close()
		start := time.Now()
		_, err := service.Search(tenant.With(t.Context(), tenant.Default), document.SearchRequest{Query: "q"})
		f := fault.As(err)
		if f == nil || f.Kind != fault.Unavailable || f.RetryAfter <= 0 || !strings.Contains(f.Detail, "model m did not answer within 900ms") {
			t.Errorf("got error %v, want unavailable after the timeout", err)
		}
		if took := time.Since(start); took != timeout {
			t.Errorf("took %s, want %s", took, timeout)
		}
	})
}

// A client that disconnects gets no error about a slow model.
func TestSearchEndsWhenTheClientDisconnects(t *testing.T) {
	t.Parallel()
	service, m := newService(t)
	m.hang = true
	defer service.Questions.Close()
	ctx, cancel := context.WithCancel(tenant.With(t.Context(), tenant.Default))
	cancel()
	if _, err := service.Search(ctx, document.SearchRequest{Query: "q"}); !errors.Is(err, context.Canceled) || fault.As(err) != nil {
		t.Errorf("got error %v, want %v only", err, context.Canceled)
	}
}

// If the active space changes during a search, the answer is of the new one. The question is
// embedded again if the model has changed.
func TestSearchFollowsTheActiveSpace(t *testing.T) {
	t.Parallel()
	other := vector.Space{ID: 8, Model: document.Model{Name: "n", Dimensions: 3}}
	split := vector.Space{ID: 9, Model: other.Model, Chunking: document.Chunking{Tokens: 64}}
	service, m := newService(t)
	m.switches = []vector.Space{space, other, split}
	result, err := service.Search(tenant.With(t.Context(), tenant.Default), document.SearchRequest{Query: "grain"})
	if err != nil || len(result.Hits) != 1 {
		t.Fatalf("%+v, %v", result, err)
	}
	if m.model != other.Model || m.embedded != 2 {
		t.Errorf("embedded the question %d times, last with %v; want once for each of two models", m.embedded, m.model)
	}
}

func TestSearchFollowsABoundedNumberOfSwitches(t *testing.T) {
	t.Parallel()
	service, m := newService(t)
	for id := range int64(100) {
		m.switches = append(m.switches, vector.Space{ID: id, Model: space.Model})
	}
	_, err := service.Search(tenant.With(t.Context(), tenant.Default), document.SearchRequest{Query: "grain"})
	if f := fault.As(err); f == nil || f.Kind != fault.Unavailable || f.RetryAfter <= 0 {
		t.Errorf("got error %v, want unavailable with a delay", err)
	}
	if followed := 100 - len(m.switches); followed > 4 {
		t.Errorf("searched %d spaces, want at most 4", followed)
	}
}
