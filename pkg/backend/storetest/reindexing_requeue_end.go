package storetest

import (
	"context"
	"testing"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
)

func endsWithItsJobs(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "requeue end")
	a := publishTexts(t, ctx, s, c, "a", "one")
	publishTexts(t, ctx, s, c, "b", "two")
	request := document.ReindexRequest{Collection: c.Name, Force: true}
	for _, want := range []document.JobState{document.JobFailed, document.Succeeded} {
		work, jobs := redo(t, ctx, s, request)
		if len(jobs) != 2 {
			t.Fatalf("got %d jobs, want 2", len(jobs))
		}
		if want == document.JobFailed {
			fail(t, ctx, s, jobs[0])
		} else {
			publishTexts(t, ctx, s, c, "a", "one again") // supersedes what was requeued
			_, err := s.Claim(ctx, refOf(t, ctx, jobs[0], document.Knowledge), leaseTime)
			wantFault(t, err, fault.NotFound)
			_, err = s.Claim(ctx, refOf(t, ctx, jobs[0], document.Summarise), leaseTime)
			wantFault(t, err, fault.NotFound)
		}
		requeue(t, ctx, s, work, 10, document.Requeued{})
		publish(t, ctx, s, jobs[1], passageOf("two", 1, 0, 0))
		requeue(t, ctx, s, work, 10, document.Requeued{})
		summarise(t, ctx, s, jobs[1], "summary")
		requeue(t, ctx, s, work, 10, document.Requeued{Ended: true})

		got := readReindex(t, ctx, s, work.Job)
		if got.State != want || got.FinishedAt == nil || got.RevertibleUntil != nil || (got.Error != "") != (want == document.JobFailed) {
			t.Errorf("got %+v, want it %s", got, want)
		}
		if p := got.Progress; p.Documents != 2 || p.DocumentsDone != 2 || p.Bytes != 2000 || p.BytesDone != 2000 {
			t.Errorf("progress: got %+v, want 2 documents, both done", p)
		}
		wantStale(t, ctx, s, string(want), work)
		_, err := s.Claim(ctx, work.TaskRef, leaseTime)
		wantFault(t, err, fault.NotFound)
	}
	if got := live(t, ctx, s, c); got.Space.ID != c.Space.ID {
		t.Errorf("live space: got %+v, want %+v still", got.Space, c.Space)
	}
	if d := readDocument(t, ctx, s, a.Document); d.State != document.Ready {
		t.Errorf("document: got %s, want ready", d.State)
	}
}

// Resumed once it has failed, it redoes what failed.
func redoesWhatFailedWhenResumed(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "requeue resume")
	fail(t, ctx, s, accept(t, ctx, s, uploadOf(c, "a")).Job)
	b := accept(t, ctx, s, uploadOf(c, "b")).Job
	fail(t, ctx, s, b)
	work, jobs := redo(t, ctx, s, document.ReindexRequest{Collection: c.Name})
	if len(jobs) != 2 {
		t.Fatalf("got %d jobs, want 2", len(jobs))
	}
	publish(t, ctx, s, jobs[0], passageOf("one", 1, 0, 0))
	summarise(t, ctx, s, jobs[0], "summary")
	fail(t, ctx, s, jobs[1])
	requeue(t, ctx, s, work, 10, document.Requeued{Ended: true})

	steerReindex(t, ctx, s, s.ResumeReindex, work.Job)
	work = claimReindex(t, ctx, s, work.Job)
	requeue(t, ctx, s, work, 10, document.Requeued{Jobs: 1})
	job := newestJobs(t, ctx, s, c.Name, 1)[0]
	if job.DocumentID != b.DocumentID || job.Version != 3 {
		t.Errorf("resumed: got job %+v, want one for version 3 of %s", job, b.DocumentID)
	}
	publish(t, ctx, s, job, passageOf("one", 1, 0, 0))
	summarise(t, ctx, s, job, "summary")
	requeue(t, ctx, s, work, 10, document.Requeued{Ended: true})
	if got := readReindex(t, ctx, s, work.Job); got.State != document.Succeeded || got.Error != "" {
		t.Errorf("resumed: got %+v, want it succeeded", got)
	}
}

func leavesItsJobsWhenCancelled(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "requeue cancel")
	publishTexts(t, ctx, s, c, "a", "one")
	work, jobs := redo(t, ctx, s, document.ReindexRequest{Collection: c.Name, Force: true})
	cancelReindex(t, ctx, s, work.Job, leaseTime)
	publish(t, ctx, s, jobs[0], passageOf("one again", 1, 0, 0))
	summarise(t, ctx, s, jobs[0], "summary")
	wantFound(t, ctx, s, "cancelled", c, "one again")
	if got := readJob(t, ctx, s, jobs[0].ID); got.State != document.Succeeded {
		t.Errorf("job: got %s, want succeeded", got.State)
	}
	wantRedone(t, ctx, s, "the next one", document.ReindexRequest{Collection: c.Name})
}
