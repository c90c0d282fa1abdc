package reindex

import (
	"context"
	"fmt"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Estimate returns what a reindex would do in each collection of the request, what it would cost and
// how long it would take. It changes nothing. Like Begin, it requests one vector from a new model.
func (s *Service) Estimate(ctx context.Context, request document.ReindexRequest) ([]document.ReindexEstimate, error) {
	plans, err := s.makePlans(ctx, request)
	if err != nil {
		return nil, err
	}
	probed := map[document.Model]document.Model{}
	estimates := make([]document.ReindexEstimate, len(plans))
	for i, p := range plans {
		if err = s.probeModel(ctx, &p, probed); err == nil {
			estimates[i], err = s.estimateOne(ctx, p)
		}
		if err != nil {
			return nil, fmt.Errorf("estimate a reindex of %s: %w", p.request.Collection, err)
		}
	}
	return estimates, nil
}

// estimateOne estimates a reindex of one collection.
func (s *Service) estimateOne(ctx context.Context, p plan) (document.ReindexEstimate, error) {
	e, err := s.Store.EstimateReindex(ctx, p.request)
	if err != nil {
		return e, err
	}
	if p.change == document.ChangeChunking {
		if err := s.estimateChunking(ctx, p.target, &e); err != nil {
			return e, err
		}
	}
	if p.change == document.ChangeNothing && s.Summaries != nil && p.summaryMode != document.SummariesOff && p.summaryMode != document.SummariesOnDemand {
		if err := s.estimateSummaries(ctx, p, &e); err != nil {
			return e, err
		}
	}
	if price, known := s.Prices[p.target.Model.Name]; known {
		cost := price * float64(e.Tokens) / 1e6
		e.Cost = &cost
	}
	rate, err := s.embeddingRate(ctx, p.target.Model, p.active.Model)
	if err != nil {
		return e, err
	}
	if rate > 0 {
		seconds := float64(e.Passages-e.Reusable) / rate
		e.Seconds = &seconds
	}
	return e, nil
}

// embeddingRate returns the rate, in passages per second, of the first of the models that has embedded
// any, or 0.
func (s *Service) embeddingRate(ctx context.Context, models ...document.Model) (rate float64, err error) {
	for _, model := range models {
		if rate, err = s.Store.EmbeddingRate(ctx, model); err != nil || rate > 0 {
			break
		}
	}
	return rate, err
}
