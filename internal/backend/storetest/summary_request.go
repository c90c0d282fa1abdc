package storetest

import (
	"context"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

func setSummaries(t *testing.T, ctx context.Context, s Store, name string, mode document.SummaryMode) {
	t.Helper()
	if c, err := s.SetSummaryMode(ctx, name, mode); err != nil || c.Name != name || c.Summaries != mode {
		t.Fatalf("got %+v, %v; want summaries %s", c, err, mode)
	}
}

func setsSummaries(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "mode")
	if c.Summaries != "" {
		t.Errorf("a new collection has summaries %q, want what is configured", c.Summaries)
	}
	if work := claimTask(t, ctx, s, acceptUpload(t, ctx, s, uploadOf(c, "a")).Job, task.KindSummary); work.Summaries != "" || work.SummaryRequested {
		t.Errorf("work %+v", work)
	}
	for _, mode := range []document.SummaryMode{document.SummariesOff, document.SummariesByModel, document.SummariesOnDemand} {
		setSummaries(t, ctx, s, c.Name, mode)
	}
	if work := claimTask(t, ctx, s, acceptUpload(t, ctx, s, uploadOf(c, "b")).Job, task.KindSummary); work.Summaries != document.SummariesOnDemand || work.SummaryRequested {
		t.Errorf("work %+v, want summaries on demand", work)
	}
	_, err := s.SetSummaryMode(ctx, "mode of none", document.SummariesOff)
	wantFault(t, err, fault.NotFound)
}

// A summary that is made on demand is made once it is asked for.
func makesSummariesOnDemand(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "on demand")
	setSummaries(t, ctx, s, c.Name, document.SummariesOnDemand)
	accepted := acceptUpload(t, ctx, s, uploadOf(c, "a"))
	id := accepted.Document.ID
	publishJob(t, ctx, s, accepted.Job, passageOf("one", 1, 0, 0))
	if err := s.SkipSummary(ctx, claimTask(t, ctx, s, accepted.Job, task.KindSummary)); err != nil {
		t.Fatal(err)
	}
	if job := readJob(t, ctx, s, accepted.Job.ID); job.State != document.JobSucceeded || job.Tasks.Summary.State != document.JobSucceeded || job.FinishedAt == nil {
		t.Errorf("job %+v, want it succeeded", job)
	}
	_, err := s.Summary(ctx, id)
	if wantFault(t, err, fault.NotFound); err != nil && !strings.Contains(err.Error(), "on demand") {
		t.Errorf("got %v, want why there is none", err)
	}

	ask := func() document.Job {
		t.Helper()
		job, err := s.RequestSummary(ctx, id, document.SummariesByModel)
		if err != nil || job.ID != accepted.Job.ID {
			t.Fatalf("got %+v, %v", job, err)
		}
		return job
	}
	if job := ask(); job.State.Ended() || job.FinishedAt != nil || job.Tasks.Summary.State != document.JobQueued || job.Tasks.Knowledge.State != document.JobSucceeded {
		t.Errorf("job %+v, want its summary queued", job)
	}
	work := claimTask(t, ctx, s, accepted.Job, task.KindSummary)
	if !work.SummaryRequested {
		t.Errorf("work %+v, want it asked for", work)
	}
	if job := ask(); job.Tasks.Summary.State != document.JobRunning { // nobody is disturbed
		t.Errorf("job %+v, want it running", job)
	}
	if err := s.FinishSummary(ctx, work, document.Summary{Model: "m", Summary: "what it says"}, document.SummaryProgress{}); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Summary(ctx, id); err != nil || got.Summary != "what it says" {
		t.Errorf("summary %+v, %v", got, err)
	}
	if job := ask(); job.State != document.JobSucceeded { // it is there
		t.Errorf("job %+v, want it as it was", job)
	}

	// A worker that holds the lease of a task that was not asked for loses it: what it
	// would do is nothing.
	second := acceptUpload(t, ctx, s, uploadOf(c, "b"))
	stale := claimTask(t, ctx, s, second.Job, task.KindSummary)
	if _, err := s.RequestSummary(ctx, second.Document.ID, document.SummariesByModel); err != nil {
		t.Fatal(err)
	}
	wantFault(t, s.SkipSummary(ctx, stale), fault.LeaseLost)
	if work := claimTask(t, ctx, s, second.Job, task.KindSummary); !work.SummaryRequested {
		t.Errorf("work %+v, want it asked for", work)
	}
	_, err = s.RequestSummary(ctx, uuid.New(), document.SummariesByModel)
	wantFault(t, err, fault.NotFound)
}

func refusesSummariesThatAreOff(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "off")
	accepted := acceptUpload(t, ctx, s, uploadOf(c, "a"))
	_, err := s.RequestSummary(ctx, accepted.Document.ID, document.SummariesOff) // as configured
	wantFault(t, err, fault.Conflict)
	setSummaries(t, ctx, s, c.Name, document.SummariesOff)
	_, err = s.RequestSummary(ctx, accepted.Document.ID, document.SummariesByModel)
	wantFault(t, err, fault.Conflict)
	setSummaries(t, ctx, s, c.Name, document.SummariesByModel)
	job, err := s.RequestSummary(ctx, accepted.Document.ID, document.SummariesOff)
	if err != nil || job.Tasks.Summary.State != document.JobQueued {
		t.Errorf("got %+v, %v; want it queued, as it was", job, err)
	}
}
