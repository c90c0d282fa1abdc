package reindex

import (
	"context"
	"fmt"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Estimate says what a reindex would do in each collection that the request
// means, what that would cost and how long it would take. It changes nothing,
// but asks a new model for one vector, as Begin does.
func (d *Service) Estimate(ctx context.Context, request document.ReindexRequest) ([]document.ReindexEstimate, error) {
	plans, err := d.makePlans(ctx, request)
	if err != nil {
		return nil, err
	}
	answered := map[document.Model]document.Model{}
	estimates := make([]document.ReindexEstimate, len(plans))
	for i, p := range plans {
		if err = d.probeModel(ctx, &p, answered); err == nil {
			estimates[i], err = d.estimateOne(ctx, p)
		}
		if err != nil {
			return nil, fmt.Errorf("estimate a reindex of %s: %w", p.request.Collection, err)
		}
	}
	return estimates, nil
}

// estimateOne says what a reindex of one collection would do.
func (d *Service) estimateOne(ctx context.Context, p plan) (document.ReindexEstimate, error) {
	e, err := d.Store.EstimateReindex(ctx, p.request)
	if err != nil {
		return e, err
	}
	if p.change == document.ChangeChunking {
		if err := d.estimateChunking(ctx, p.target, &e); err != nil {
			return e, err
		}
	}
	if p.change == document.ChangeNothing && d.Summaries != nil && p.summaryMode != document.SummariesOff && p.summaryMode != document.SummariesOnDemand {
		if err := d.estimateSummaries(ctx, p, &e); err != nil {
			return e, err
		}
	}
	if price, known := d.Prices[p.target.Model.Name]; known {
		cost := price * float64(e.Tokens) / 1e6
		e.Cost = &cost
	}
	rate, err := d.embeddingRate(ctx, p.target.Model, p.active.Model)
	if err != nil {
		return e, err
	}
	if rate > 0 {
		seconds := float64(e.Passages-e.Reusable) / rate
		e.Seconds = &seconds
	}
	return e, nil
}

// embeddingRate returns how many passages a second the first of the models embedded that
// was ever used, or 0.
func (d *Service) embeddingRate(ctx context.Context, models ...document.Model) (rate float64, err error) {
	for _, model := range models {
		if rate, err = d.Store.EmbeddingRate(ctx, model); err != nil || rate > 0 {
			break
		}
	}
	return rate, err
}
