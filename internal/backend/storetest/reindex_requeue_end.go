package storetest

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/rebuild"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

func endsWithItsJobs(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "requeue end")
	a := publishTexts(t, ctx, s, c, "a", "one")
	publishTexts(t, ctx, s, c, "b", "two")
	request := document.ReindexRequest{Collection: c.Name, Force: true}
	for _, want := range []document.JobState{document.JobFailed, document.JobSucceeded} {
		work, jobs := runRequeue(t, ctx, s, request)
		if len(jobs) != 2 {
			t.Fatalf("got %d jobs, want 2", len(jobs))
		}
		if want == document.JobFailed {
			failJob(t, ctx, s, jobs[0])
		} else {
			publishTexts(t, ctx, s, c, "a", "one again") // supersedes what was requeued
			_, err := s.Claim(ctx, taskRefOf(t, ctx, jobs[0], task.KindKnowledge), leaseTime)
			wantFault(t, err, fault.NotFound)
			_, err = s.Claim(ctx, taskRefOf(t, ctx, jobs[0], task.KindSummary), leaseTime)
			wantFault(t, err, fault.NotFound)
		}
		requeue(t, ctx, s, work, 10, rebuild.RequeueResult{})
		publishJob(t, ctx, s, jobs[1], passageOf("two", 1, 0, 0))
		requeue(t, ctx, s, work, 10, rebuild.RequeueResult{})
		finishSummary(t, ctx, s, jobs[1], "summary")
		requeue(t, ctx, s, work, 10, rebuild.RequeueResult{Ended: true})

		got := readReindex(t, ctx, s, work.JobID)
		if got.State != want || got.FinishedAt == nil || got.RevertibleUntil != nil || (got.Error != "") != (want == document.JobFailed) {
			t.Errorf("got %+v, want it %s", got, want)
		}
		if p := got.Progress; p.Documents != 2 || p.DocumentsDone != 2 || p.Bytes != 2000 || p.BytesDone != 2000 {
			t.Errorf("progress: got %+v, want 2 documents, both done", p)
		}
		wantLeaseLost(t, ctx, s, string(want), work)
		_, err := s.Claim(ctx, work.Ref, leaseTime)
		wantFault(t, err, fault.NotFound)
	}
	if got := readCollection(t, ctx, s, c); got.ActiveSpace.ID != c.ActiveSpace.ID {
		t.Errorf("live space: got %+v, want %+v still", got.ActiveSpace, c.ActiveSpace)
	}
	if d := readDocument(t, ctx, s, a.DocumentID); d.State != document.DocumentReady {
		t.Errorf("document: got %s, want ready", d.State)
	}
}

// A reindex whose last job has ended also ends if the window is 0.
func endsWithoutAWindow(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "requeue end without a window")
	publishTexts(t, ctx, s, c, "a", "one")
	work, jobs := runRequeue(t, ctx, s, document.ReindexRequest{Collection: c.Name, Force: true})
	requeue(t, ctx, s, work, 0, rebuild.RequeueResult{})
	publishJob(t, ctx, s, jobs[0], passageOf("one", 1, 0, 0))
	finishSummary(t, ctx, s, jobs[0], "summary")
	requeue(t, ctx, s, work, 0, rebuild.RequeueResult{Ended: true})
}

// A paused reindex continues where it stopped, also if one of its jobs has failed: it
// redoes no document twice.
func resumesRequeueingWhereItStopped(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "requeue pause")
	publishTexts(t, ctx, s, c, "a", "one")
	b := publishTexts(t, ctx, s, c, "b", "two")
	publishTexts(t, ctx, s, c, "c", "three")
	work := startReindex(t, ctx, s, document.ReindexRequest{Collection: c.Name, Force: true})
	requeue(t, ctx, s, work, 1, rebuild.RequeueResult{Jobs: 1})
	failJob(t, ctx, s, newestJobs(t, ctx, s, c.Name, 1)[0])
	requeue(t, ctx, s, work, 1, rebuild.RequeueResult{Jobs: 1})
	job := newestJob(t, ctx, s, b.DocumentID)
	publishJob(t, ctx, s, job, passageOf("two", 1, 0, 0))
	finishSummary(t, ctx, s, job, "summary")
	requeue(t, ctx, s, work, 0, rebuild.RequeueResult{})

	paused := controlReindex(t, ctx, s, s.PauseReindex, work.JobID)
	resumed := controlReindex(t, ctx, s, s.ResumeReindex, work.JobID)
	if diff := cmp.Diff(paused.Progress, resumed.Progress); diff != "" || resumed.Progress.DocumentsDone != 2 {
		t.Errorf("%d documents are done, want 2; progress (-paused +resumed):\n%s", resumed.Progress.DocumentsDone, diff)
	}
	work = claimReindex(t, ctx, s, work.JobID)
	requeue(t, ctx, s, work, 10, rebuild.RequeueResult{Jobs: 1})
	job = newestJobs(t, ctx, s, c.Name, 1)[0]
	publishJob(t, ctx, s, job, passageOf("three", 1, 0, 0))
	finishSummary(t, ctx, s, job, "summary")
	requeue(t, ctx, s, work, 10, rebuild.RequeueResult{Ended: true})
	if got := readReindex(t, ctx, s, work.JobID); got.State != document.JobFailed || got.Progress.DocumentsDone != 3 {
		t.Errorf("got %+v, want it failed, for one of 3 documents", got)
	}
}

// A failed reindex that is resumed redoes the documents whose job failed, also if only the
// summary did. With force it does not redo those whose job succeeded.
func redoesWhatFailedWhenResumed(t *testing.T, ctx context.Context, s Store) {
	for _, force := range []bool{false, true} {
		c := ensureCollection(t, ctx, s, fmt.Sprint("requeue resume, force ", force))
		for _, key := range []string{"done", "failed", "unsummarised"} {
			failJob(t, ctx, s, acceptUpload(t, ctx, s, uploadOf(c, key)).Job)
		}
		finish := func(job document.Job) {
			publishJob(t, ctx, s, job, passageOf("one", 1, 0, 0))
			finishSummary(t, ctx, s, job, "summary")
		}
		work, jobs := runRequeue(t, ctx, s, document.ReindexRequest{Collection: c.Name, Force: force})
		if len(jobs) != 3 {
			t.Fatalf("got %d jobs, want 3", len(jobs))
		}
		finish(jobs[0])
		failJob(t, ctx, s, jobs[1])
		publishJob(t, ctx, s, jobs[2], passageOf("one", 1, 0, 0))
		recordOutcome(t, ctx, s, claimTask(t, ctx, s, jobs[2], task.KindSummary), task.Outcome{Verdict: task.VerdictFail, Error: "no words"})
		requeue(t, ctx, s, work, 10, rebuild.RequeueResult{Ended: true})

		controlReindex(t, ctx, s, s.ResumeReindex, work.JobID)
		work = claimReindex(t, ctx, s, work.JobID)
		requeue(t, ctx, s, work, 10, rebuild.RequeueResult{Jobs: 2})
		if p := readReindex(t, ctx, s, work.JobID).Progress; p.Documents-p.DocumentsDone != 2 {
			t.Errorf("resumed: %d of %d documents are done, want 2 left", p.DocumentsDone, p.Documents)
		}
		again := newestJobs(t, ctx, s, c.Name, 2)
		for i, job := range again {
			if job.DocumentID != jobs[i+1].DocumentID || job.Version != 3 {
				t.Errorf("resumed: got job %+v, want one for version 3 of %s", job, jobs[i+1].DocumentID)
			}
			finish(job)
		}
		requeue(t, ctx, s, work, 10, rebuild.RequeueResult{Ended: true})
		if got := readReindex(t, ctx, s, work.JobID); got.State != document.JobSucceeded || got.Error != "" {
			t.Errorf("resumed: got %+v, want it succeeded", got)
		}
	}
}

func leavesItsJobsWhenCancelled(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "requeue cancel")
	publishTexts(t, ctx, s, c, "a", "one")
	work, jobs := runRequeue(t, ctx, s, document.ReindexRequest{Collection: c.Name, Force: true})
	cancelReindex(t, ctx, s, work.JobID, leaseTime)
	publishJob(t, ctx, s, jobs[0], passageOf("one again", 1, 0, 0))
	finishSummary(t, ctx, s, jobs[0], "summary")
	wantHits(t, ctx, s, "cancelled", c, "one again")
	if got := readJob(t, ctx, s, jobs[0].ID); got.State != document.JobSucceeded {
		t.Errorf("job: got %s, want succeeded", got.State)
	}
	wantRedone(t, ctx, s, "the next one", document.ReindexRequest{Collection: c.Name})
}
