// Package search answers questions with the passages nearest to them.
package search

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/seed-7a112592/gristmill/internal/embedding"
	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/telemetry"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Store finds passages; see storetest.Searching for the contract.
type Store interface {
	Collection(ctx context.Context, name string) (vector.Collection, error)
	NearestPassages(ctx context.Context, space vector.Space, query vector.Query) ([]document.Hit, error)
}

// Service answers searches.
type Service struct {
	Store        Store
	Questions    *embedding.QueryEmbedder
	EmbedTimeout time.Duration // for the question; somebody waits for it
	Metrics      *telemetry.Metrics
}

const (
	defaultCollection = "default"
	defaultLimit      = 10
	maxLimit          = 100
	maxQueryBytes     = 8 << 10
	noThreshold       = -2 // below every cosine similarity
	maxSwitches       = 3  // of the live space during one search

	// defaultRetryAfter is when to ask again, where the provider does not say.
	defaultRetryAfter = 5 * time.Second
)

// Search embeds the question with the model of the collection's live space and
// returns the passages nearest to it, best first. When another space has become
// the live one meanwhile, it is that one's turn: an answer is of one space.
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
	var embedded document.Model // what query.Vector is of
	for switches := 0; ; switches++ {
		collection, err := s.Store.Collection(ctx, request.Collection)
		if err != nil {
			return document.SearchResult{}, fmt.Errorf("search: %w", err)
		}
		// Where the length of vectors is not known there are none to find.
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
			return document.SearchResult{}, fault.Wrap(fault.Unavailable, err, "collection %q keeps being switched from one space to another", request.Collection).WithRetryAfter(time.Second)
		}
	}
}

// embedQuestion turns the question into a vector, within the timeout. It is
// fault.BadRequest when the model does not take the question, as one that is too
// long. Whatever else the provider has against us is not the client's doing: to
// the client, search is unavailable.
func (s *Service) embedQuestion(ctx context.Context, model document.Model, question string) ([]float32, error) {
	bounded, cancel := context.WithTimeout(ctx, s.EmbedTimeout)
	defer cancel()
	vector, err := s.Questions.Embed(bounded, model, question)
	switch f := fault.As(err); {
	case err == nil:
		return vector, nil
	case embedding.IsRefused(err):
		return nil, fault.Wrap(fault.BadRequest, err, "model %s does not take the question: %s", model.Name, f.Detail)
	case f != nil:
		return nil, fault.Wrap(fault.Unavailable, err, "the question cannot be embedded now: %s", f.Detail).WithRetryAfter(cmp.Or(f.RetryAfter, defaultRetryAfter))
	case ctx.Err() == nil && bounded.Err() != nil:
		return nil, fault.Wrap(fault.Unavailable, err, "the question cannot be embedded now: model %s did not answer within %s (GRISTMILL_SEARCH_TIMEOUT); it is still being asked, and may answer the same search soon", model.Name, s.EmbedTimeout).WithRetryAfter(defaultRetryAfter)
	default:
		return nil, fmt.Errorf("embed the question: %w", err)
	}
}

// checkRequest returns the request with its defaults filled in, or what is wrong with
// it.
func checkRequest(request document.SearchRequest) (document.SearchRequest, error) {
	if request.Collection == "" {
		request.Collection = defaultCollection
	}
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
		return request, fault.New(fault.BadRequest, "query is %d bytes long; at most %d are taken", len(request.Query), maxQueryBytes)
	}
	for field, value := range map[string]string{"query": request.Query, "filter.key_prefix": request.KeyPrefix, "collection": request.Collection} {
		if !utf8.ValidString(value) || strings.ContainsRune(value, 0) {
			return request, fault.New(fault.BadRequest, "%s is not text: it has a NUL character or is not UTF-8", field)
		}
	}
	if request.Limit == 0 {
		request.Limit = defaultLimit
	}
	if request.Limit < 1 || request.Limit > maxLimit {
		return request, fault.New(fault.BadRequest, "limit is %d; want 1 to %d", request.Limit, maxLimit)
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
