package reindex

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/provider"
	"github.com/seed-7a112592/gristmill/internal/rebuild"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

const (
	// probeTimeout bounds the time in which a model must respond, while a user waits.
	probeTimeout = 20 * time.Second

	// defaultRetryAfter is when a client should try again if the provider does not say.
	defaultRetryAfter = 5 * time.Second
)

// probeModel requests one vector from the model of the new space, unless the model is in probed. So a
// wrong name or wrong dimensions are found before anything is built, and dimensions that the request
// leaves out are those of the vector.
func (s *Service) probeModel(ctx context.Context, p *plan, probed map[document.Model]document.Model) error {
	if p.change == document.ChangeNothing {
		return nil
	}
	model, ok := probed[p.target.Model]
	if !ok {
		dimensions, err := s.probeDimensions(ctx, p.target.Model)
		if err != nil {
			return err
		}
		model = document.Model{Name: p.target.Model.Name, Dimensions: dimensions}
		probed[p.target.Model] = model
	}
	p.request.Model = model
	p.target, p.change = rebuild.TargetSpace(p.request, p.active)
	return p.check()
}

// probeDimensions requests a vector from a model, and returns its dimensions.
func (s *Service) probeDimensions(ctx context.Context, model document.Model) (dimensions int, err error) {
	bounded, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	vectors, err := s.Embedder.Embed(bounded, model, []string{provider.ProbeText})
	switch f := fault.As(err); {
	case err == nil:
		return cmp.Or(model.Dimensions, len(vectors[0])), nil
	case fault.Is(err, fault.Unavailable), fault.Is(err, fault.RateLimited), fault.Is(err, fault.InterruptedResponse):
		return 0, fault.Wrap(fault.Unavailable, err, "model %s cannot be used now, and no reindex was started: %s", model.Name, f.Detail).WithRetryAfter(cmp.Or(f.RetryAfter, defaultRetryAfter))
	case f != nil && model.Dimensions == 0:
		return 0, fault.Wrap(fault.BadRequest, err, "model %s cannot be used: %s", model.Name, f.Detail)
	case f != nil:
		return 0, fault.Wrap(fault.BadRequest, err, "model %s with %d dimensions cannot be used: %s", model.Name, model.Dimensions, f.Detail)
	case ctx.Err() == nil && bounded.Err() != nil:
		return 0, fault.Wrap(fault.Unavailable, err, "model %s did not answer within %s, and no reindex was started", model.Name, probeTimeout).WithRetryAfter(defaultRetryAfter)
	default:
		return 0, fmt.Errorf("request a vector from model %s: %w", model.Name, err)
	}
}
