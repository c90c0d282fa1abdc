package steer_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/pipeline/steer"
)

// memory journals what is done to jobs, and who is told.
type memory struct {
	journal []string
	err     error
}

func (m *memory) CancelJob(_ context.Context, id uuid.UUID) (document.Job, error) {
	m.journal = append(m.journal, "cancel")
	return document.Job{ID: id, State: document.Cancelled}, m.err
}

func (m *memory) RetryJob(_ context.Context, id uuid.UUID) (document.Job, error) {
	m.journal = append(m.journal, "retry")
	return document.Job{ID: id, State: document.Queued}, m.err
}

func (m *memory) AskSummary(_ context.Context, id uuid.UUID, configured document.SummaryMode) (document.Job, error) {
	if configured != document.SummariesOnDemand {
		return document.Job{}, errors.New("asked as configured otherwise")
	}
	m.journal = append(m.journal, "ask")
	return document.Job{ID: id, State: document.Running}, m.err
}

func (m *memory) Changed(context.Context, uuid.UUID) { m.journal = append(m.journal, "changed") }
func (m *memory) HurryAll(context.Context)           { m.journal = append(m.journal, "hurry") }
func (m *memory) Dispatch(context.Context)           { m.journal = append(m.journal, "dispatch") }

// Who watches the job is told once it has changed, and what it leaves room for,
// or what is to be done again, goes into the queue.
func TestSteer(t *testing.T) {
	t.Parallel()
	down := errors.New("database is down")
	for name, call := range map[string]func(*steer.Step, context.Context, uuid.UUID) (document.Job, error){
		"cancel": (*steer.Step).Cancel,
		"retry":  (*steer.Step).Retry,
		"ask":    (*steer.Step).AskSummary,
	} {
		m, id := &memory{}, uuid.New()
		step := &steer.Step{Store: m, Live: m, Dispatcher: m, Pace: m, Summaries: document.SummariesOnDemand}
		job, err := call(step, t.Context(), id)
		if err != nil || job.ID != id || job.State == "" {
			t.Errorf("%s: got %+v, %v, want the job", name, job, err)
		}
		want := []string{name, "changed", "dispatch"}
		if name == "retry" { // the models are tried before the task asks them
			want = []string{name, "hurry", "changed", "dispatch"}
		}
		if !slices.Equal(m.journal, want) {
			t.Errorf("%s: did %q, want %q", name, m.journal, want)
		}
		m.journal, m.err = nil, down
		if _, err := call(step, t.Context(), id); !errors.Is(err, down) {
			t.Errorf("%s: error %v", name, err)
		}
		if want := []string{name}; !slices.Equal(m.journal, want) {
			t.Errorf("%s that failed: did %q, want %q", name, m.journal, want)
		}
	}
}
