package jobs_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/pipeline/jobs"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// fakeBackend journals what is done to jobs, and who is told.
type fakeBackend struct {
	journal []string
	err     error
}

func (m *fakeBackend) CancelJob(_ context.Context, id uuid.UUID) (document.Job, error) {
	m.journal = append(m.journal, "cancel")
	return document.Job{ID: id, State: document.JobCancelled}, m.err
}

func (m *fakeBackend) RetryJob(_ context.Context, id uuid.UUID) (document.Job, error) {
	m.journal = append(m.journal, "retry")
	return document.Job{ID: id, State: document.JobQueued}, m.err
}

func (m *fakeBackend) RequestSummary(_ context.Context, id uuid.UUID, configured document.SummaryMode) (document.Job, error) {
	if configured != document.SummariesOnDemand {
		return document.Job{}, errors.New("asked as configured otherwise")
	}
	m.journal = append(m.journal, "ask")
	return document.Job{ID: id, State: document.JobRunning}, m.err
}

func (m *fakeBackend) NotifyChange(context.Context, uuid.UUID) {
	m.journal = append(m.journal, "changed")
}
func (m *fakeBackend) RetryHeldModels(context.Context) { m.journal = append(m.journal, "hurry") }
func (m *fakeBackend) Dispatch(context.Context)        { m.journal = append(m.journal, "dispatch") }

// Who watches the job is told once it has changed, and what it leaves room for,
// or what is to be done again, goes into the queue.
func TestSteer(t *testing.T) {
	t.Parallel()
	down := errors.New("database is down")
	for name, call := range map[string]func(*jobs.Service, context.Context, uuid.UUID) (document.Job, error){
		"cancel": (*jobs.Service).Cancel,
		"retry":  (*jobs.Service).Retry,
		"ask":    (*jobs.Service).RequestSummary,
	} {
		m, id := &fakeBackend{}, uuid.New()
		step := &jobs.Service{Store: m, Changes: m, Dispatcher: m, Models: m, DefaultSummaryMode: document.SummariesOnDemand}
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
