package reindex

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
)

const (
	// probeTimeout is how long a model may take to show that it is there;
	// somebody waits for it.
	probeTimeout = 20 * time.Second

	// retryAfter is when to ask again, where the provider does not say.
	retryAfter = 5 * time.Second
)

// probe asks the model that a space is to be built with for one vector, unless
// it has answered already: so a name or a length that is wrong is found before
// anything is built, and a length that nobody has named is the answer's.
func (d *Desk) probe(ctx context.Context, p *plan, answered map[document.Model]document.Model) error {
	if p.change == document.ChangeNothing {
		return nil
	}
	model, ok := answered[p.target.Model]
	if !ok {
		length, err := d.ask(ctx, p.target.Model)
		if err != nil {
			return err
		}
		model = document.Model{Name: p.target.Model.Name, Dimensions: length}
		answered[p.target.Model] = model
	}
	p.request.Model = model
	p.target, p.change = p.request.Target(p.live)
	return p.check()
}

// ask asks a model for a vector, and returns its length.
func (d *Desk) ask(ctx context.Context, model document.Model) (length int, err error) {
	bounded, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	vectors, err := d.Embedder.Embed(bounded, model, []string{document.ProbeText})
	switch f := fault.As(err); {
	case err == nil:
		return cmp.Or(model.Dimensions, len(vectors[0])), nil
	case fault.Is(err, fault.Unavailable), fault.Is(err, fault.RateLimited), fault.Is(err, fault.BrokenAnswer):
		return 0, fault.Wrap(fault.Unavailable, err, "model %s cannot be asked now, and nothing was begun: %s", model.Name, f.Detail).After(cmp.Or(f.RetryAfter, retryAfter))
	case f != nil && model.Dimensions == 0:
		return 0, fault.Wrap(fault.BadRequest, err, "model %s cannot be used: %s", model.Name, f.Detail)
	case f != nil:
		return 0, fault.Wrap(fault.BadRequest, err, "model %s with %d dimensions cannot be used: %s", model.Name, model.Dimensions, f.Detail)
	case ctx.Err() == nil && bounded.Err() != nil:
		return 0, fault.Wrap(fault.Unavailable, err, "model %s did not answer within %s, and nothing was begun", model.Name, probeTimeout).After(retryAfter)
	default:
		return 0, fmt.Errorf("ask model %s for a vector: %w", model.Name, err)
	}
}
