package knowledge

import (
	"context"

	"github.com/seed-7a112592/gristmill/internal/task"
)

// prepareSpace has a collection that holds nothing yet take the configured model,
// whose vectors have been seen by now, and returns the work with its spaces.
// Until the model answers, the task waits.
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
