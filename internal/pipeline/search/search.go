// Package search answers search requests: it embeds the question and finds the nearest passages.
package search

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/seed-7a112592/gristmill/internal/embedding"
	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/required"
	"github.com/seed-7a112592/gristmill/internal/telemetry"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Store finds passages; see storetest.Searching for the contract.
type Store interface {
	Collection(ctx context.Context, name string) (vector.Collection, error)
	NearestPassages(ctx context.Context, space vector.Space, query vector.Query) ([]document.Hit, error)
}

// Config is what a service needs.
type Config struct {
	Store        Store
	Questions    *embedding.QueryEmbedder
	EmbedTimeout time.Duration // for embedding the question, while a user waits
	Metrics      *telemetry.Metrics
}

// Service answers searches.
type Service struct{ Config }

// NewService returns a service, or an error that names what config lacks.
func NewService(config Config) (*Service, error) {
	if err := required.Fields(config); err != nil {
		return nil, err
	}
	return &Service{config}, nil
}

const (
	maxQueryBytes = 8 << 10
	noThreshold   = -2 // below every cosine similarity
	maxSwitches   = 3  // maximum number of changes of the active space that one search follows

	// defaultRetryAfter is when a client should try again if the provider does not say.
	defaultRetryAfter = 5 * time.Second
)

// Search embeds the question with the model of the collection's active space and returns the
// nearest passages, best first. All hits are of one space: if another space becomes active
// meanwhile, Search starts again in that space.
func (s *Service) Search(ctx context.Context, request document.SearchRequest) (document.SearchResult, error) {
	request, err := checkRequest(request)
	if err != nil {
		return document.SearchResult{}, err
	}
	query := vector.Query{
		Limit:     request.Limit,
		Threshold: noThreshold,
		KeyPrefix: request.KeyPrefix,
		Metadata:  request.Metadata,
	}
	if request.Threshold != nil {
		query.Threshold = *request.Threshold
	}
	var embedded document.Model // model of query.Vector
	for switches := 0; ; switches++ {
		collection, err := s.Store.Collection(ctx, request.Collection)
		if err != nil {
			return document.SearchResult{}, fmt.Errorf("search: %w", err)
		}
		// A model without dimensions has embedded nothing yet: there are no hits.
		if model := collection.ActiveSpace.Model; model != embedded && model.Dimensions > 0 {
			start := time.Now()
			if query.Vector, err = s.embedQuestion(ctx, model, request.Query); err != nil {
				return document.SearchResult{}, err
			}
			s.Metrics.ObserveStage("search_embed", start)
			embedded = model
		}
		start := time.Now()
		hits, err := s.Store.NearestPassages(ctx, collection.ActiveSpace, query)
		switch {
		case err == nil:
			s.Metrics.ObserveStage("search_nearest", start)
			return document.SearchResult{Hits: hits}, nil
		case !fault.Is(err, fault.Conflict):
			return document.SearchResult{}, fmt.Errorf("search %s: %w", request.Collection, err)
		case switches == maxSwitches:
			return document.SearchResult{}, fault.Wrap(fault.Unavailable, err, "the active space of collection %q changed %d times during the search", request.Collection, maxSwitches+1).WithRetryAfter(time.Second)
		}
	}
}

// embedQuestion returns the vector of the question. It waits at most EmbedTimeout. It returns
// fault.BadRequest if the model refuses the question, for example because it is too long. Any
// other error of the provider is not the client's fault: the client gets fault.Unavailable.
func (s *Service) embedQuestion(ctx context.Context, model document.Model, question string) ([]float32, error) {
	bounded, cancel := context.WithTimeout(ctx, s.EmbedTimeout)
	defer cancel()
	vector, err := s.Questions.Embed(bounded, model, question)
	switch f := fault.As(err); {
	case err == nil:
		return vector, nil
	case embedding.IsRefused(err):
		return nil, fault.Wrap(fault.BadRequest, err, "model %s refuses the question: %s", model.Name, f.Detail)
	case f != nil:
		return nil, fault.Wrap(fault.Unavailable, err, "the question cannot be embedded now: %s", f.Detail).WithRetryAfter(cmp.Or(f.RetryAfter, defaultRetryAfter))
	case ctx.Err() == nil && bounded.Err() != nil:
		return nil, fault.Wrap(fault.Unavailable, err, "the question cannot be embedded now: model %s did not answer within %s (GRISTMILL_SEARCH_TIMEOUT); the request to the model continues, and the same search may soon succeed", model.Name, s.EmbedTimeout).WithRetryAfter(defaultRetryAfter)
	default:
		return nil, fmt.Errorf("embed the question: %w", err)
	}
}

// checkRequest returns the request with defaults filled in. It returns fault.BadRequest if the
// request is invalid.
func checkRequest(request document.SearchRequest) (document.SearchRequest, error) {
	request.Collection = cmp.Or(request.Collection, document.DefaultCollection)
	request.Limit = cmp.Or(request.Limit, document.DefaultHits)
	switch request.Mode {
	case "", "vector":
	case "keyword", "hybrid":
		return request, fault.New(fault.BadRequest, "mode %q is not available yet; use \"vector\"", request.Mode)
	default:
		return request, fault.New(fault.BadRequest, "mode %q is not known; use \"vector\"", request.Mode)
	}
	if strings.TrimSpace(request.Query) == "" {
		return request, fault.New(fault.BadRequest, "query is empty: say what to search for")
	}
	if len(request.Query) > maxQueryBytes {
		return request, fault.New(fault.BadRequest, "query is %d bytes long; the maximum is %d", len(request.Query), maxQueryBytes)
	}
	for field, value := range map[string]string{"query": request.Query, "filter.key_prefix": request.KeyPrefix, "collection": request.Collection} {
		if err := document.CheckText(value); err != nil {
			return request, fault.New(fault.BadRequest, "%s %v", field, err)
		}
	}
	if request.Limit < 1 || request.Limit > document.MaxHits {
		return request, fault.New(fault.BadRequest, "limit is %d; want 1 to %d", request.Limit, document.MaxHits)
	}
	if len(request.Metadata) > 0 {
		canonical, err := document.CanonicalMetadata(request.Metadata)
		if err != nil {
			return request, fault.New(fault.BadRequest, "filter.%v", err)
		}
		request.Metadata = canonical
	}
	return request, nil
}
