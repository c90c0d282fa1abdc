package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/pipeline/jobs"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// fakeBackend records the calls of a store, a notifier, a dispatcher and held models. Every call
// must carry the tenant.
type fakeBackend struct {
	t       *testing.T
	journal []string
	err     error
}

func (m *fakeBackend) record(ctx context.Context, call string) {
	if id, err := tenant.From(ctx); id != "acme" {
		m.t.Errorf("%s: tenant %q, %v, want acme", call, id, err)
	}
	m.journal = append(m.journal, call)
}

func (m *fakeBackend) CancelJob(ctx context.Context, id uuid.UUID) (document.Job, error) {
	m.record(ctx, "cancel")
	return document.Job{ID: id, State: document.JobCancelled}, m.err
}

func (m *fakeBackend) RetryJob(ctx context.Context, id uuid.UUID) (document.Job, error) {
	m.record(ctx, "retry")
	return document.Job{ID: id, State: document.JobQueued}, m.err
}

func (m *fakeBackend) RequestSummary(ctx context.Context, id uuid.UUID, configured document.SummaryMode) (document.Job, error) {
	if configured != document.SummariesOnDemand {
		return document.Job{}, fmt.Errorf("request with summary mode %q, want %q", configured, document.SummariesOnDemand)
	}
	m.record(ctx, "request summary")
	return document.Job{ID: id, State: document.JobRunning}, m.err
}

func (m *fakeBackend) NotifyChange(ctx context.Context, _ uuid.UUID) { m.record(ctx, "notify") }
func (m *fakeBackend) RetryHeldModels(ctx context.Context)           { m.record(ctx, "retry models") }
func (m *fakeBackend) Dispatch(ctx context.Context)                  { m.record(ctx, "dispatch") }

// Watchers are notified after the change. Then tasks that the change has queued, or has made
// room for, are dispatched.
func TestChangeJob(t *testing.T) {
	t.Parallel()
	down := errors.New("database is down")
	for name, call := range map[string]func(*jobs.Service, context.Context, uuid.UUID) (document.Job, error){
		"cancel":          (*jobs.Service).Cancel,
		"retry":           (*jobs.Service).Retry,
		"request summary": (*jobs.Service).RequestSummary,
	} {
		m, id := &fakeBackend{t: t}, uuid.New()
		ctx := tenant.With(t.Context(), "acme")
		service, err := jobs.NewService(jobs.Config{Store: m, Changes: m, Dispatcher: m, Models: m, DefaultSummaryMode: document.SummariesOnDemand})
		if err != nil {
			t.Fatal(err)
		}
		job, err := call(service, ctx, id)
		if err != nil || job.ID != id || job.State == "" {
			t.Errorf("%s: got %+v, %v, want the job", name, job, err)
		}
		want := []string{name, "notify", "dispatch"}
		if name == "retry" { // models are tried again before the task runs
			want = []string{name, "retry models", "notify", "dispatch"}
		}
		if !slices.Equal(m.journal, want) {
			t.Errorf("%s: calls %q, want %q", name, m.journal, want)
		}
		m.journal, m.err = nil, down
		if _, err := call(service, ctx, id); !errors.Is(err, down) {
			t.Errorf("%s: got error %v, want %v", name, err, down)
		}
		if want := []string{name}; !slices.Equal(m.journal, want) {
			t.Errorf("%s that failed: calls %q, want %q", name, m.journal, want)
		}
	}
}
