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
	// probeTimeout is how long a model may take to show that it is there;
	// somebody waits for it.
	probeTimeout = 20 * time.Second

	// defaultRetryAfter is when to ask again, where the provider does not say.
	defaultRetryAfter = 5 * time.Second
)

// probeModel asks the model that a space is to be built with for one vector, unless
// it has answered already: so a name or a length that is wrong is found before
// anything is built, and a length that nobody has named is the answer's.
func (d *Service) probeModel(ctx context.Context, p *plan, answered map[document.Model]document.Model) error {
	if p.change == document.ChangeNothing {
		return nil
	}
	model, ok := answered[p.target.Model]
	if !ok {
		length, err := d.probeDimensions(ctx, p.target.Model)
		if err != nil {
			return err
		}
		model = document.Model{Name: p.target.Model.Name, Dimensions: length}
		answered[p.target.Model] = model
	}
	p.request.Model = model
	p.target, p.change = rebuild.TargetSpace(p.request, p.active)
	return p.check()
}

// probeDimensions asks a model for a vector, and returns its length.
func (d *Service) probeDimensions(ctx context.Context, model document.Model) (length int, err error) {
	bounded, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	vectors, err := d.Embedder.Embed(bounded, model, []string{provider.ProbeText})
	switch f := fault.As(err); {
	case err == nil:
		return cmp.Or(model.Dimensions, len(vectors[0])), nil
	case fault.Is(err, fault.Unavailable), fault.Is(err, fault.RateLimited), fault.Is(err, fault.InterruptedResponse):
		return 0, fault.Wrap(fault.Unavailable, err, "model %s cannot be asked now, and nothing was begun: %s", model.Name, f.Detail).WithRetryAfter(cmp.Or(f.RetryAfter, defaultRetryAfter))
	case f != nil && model.Dimensions == 0:
		return 0, fault.Wrap(fault.BadRequest, err, "model %s cannot be used: %s", model.Name, f.Detail)
	case f != nil:
		return 0, fault.Wrap(fault.BadRequest, err, "model %s with %d dimensions cannot be used: %s", model.Name, model.Dimensions, f.Detail)
	case ctx.Err() == nil && bounded.Err() != nil:
		return 0, fault.Wrap(fault.Unavailable, err, "model %s did not answer within %s, and nothing was begun", model.Name, probeTimeout).WithRetryAfter(defaultRetryAfter)
	default:
		return 0, fmt.Errorf("ask model %s for a vector: %w", model.Name, err)
	}
}
