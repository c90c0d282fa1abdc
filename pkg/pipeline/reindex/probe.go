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

	probeText = "Which grain was ground here?"
)

// probe asks the model that a space is to be built with for one vector, unless
// it has answered already: so a name or a length that is wrong is found before
// anything is built.
func (d *Desk) probe(ctx context.Context, p plan, answered map[document.Model]bool) error {
	model := p.target.Model
	if p.change == document.ChangeNothing || answered[model] {
		return nil
	}
	err := d.ask(ctx, model)
	answered[model] = err == nil
	return err
}

// ask asks a model for a vector.
func (d *Desk) ask(ctx context.Context, model document.Model) error {
	bounded, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	_, err := d.Embedder.Embed(bounded, model, []string{probeText})
	switch f := fault.As(err); {
	case err == nil:
		return nil
	case fault.Is(err, fault.Unavailable), fault.Is(err, fault.RateLimited), fault.Is(err, fault.BrokenAnswer):
		return fault.Wrap(fault.Unavailable, err, "model %s cannot be asked now, and nothing was begun: %s", model.Name, f.Detail).After(cmp.Or(f.RetryAfter, retryAfter))
	case f != nil:
		return fault.Wrap(fault.BadRequest, err, "model %s with %d dimensions cannot be used: %s", model.Name, model.Dimensions, f.Detail)
	case ctx.Err() == nil && bounded.Err() != nil:
		return fault.Wrap(fault.Unavailable, err, "model %s did not answer within %s, and nothing was begun", model.Name, probeTimeout).After(retryAfter)
	default:
		return fmt.Errorf("ask model %s for a vector: %w", model.Name, err)
	}
}
