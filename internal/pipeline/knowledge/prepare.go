package knowledge

import (
	"context"

	"github.com/seed-7a112592/gristmill/internal/task"
)

// prepareSpace gives a collection that holds nothing yet the configured model, after the model has
// returned a vector, and returns the work with the new spaces. Until the model responds, the task
// waits.
func (s *Step) prepareSpace(ctx context.Context, work task.Work) (task.Work, error) {
	if !work.SpaceReplaceable {
		return work, nil
	}
	model, err := s.Defaults.Model(ctx)
	if err != nil {
		return work, err
	}
	prepared, err := s.Store.PrepareSpace(ctx, work, model, s.Defaults.Chunking)
	if err != nil {
		return work, err
	}
	return prepared, nil
}
