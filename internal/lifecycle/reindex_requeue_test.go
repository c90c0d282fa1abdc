package lifecycle

import (
	"testing"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

func TestShouldRequeue(t *testing.T) {
	t.Parallel()
	complete := RequeueCandidate{DocumentID: documentID, Newest: 2, Published: 2, HasSpaceVersion: true, Complete: true}
	candidate := func(change func(*RequeueCandidate)) RequeueCandidate {
		c := complete
		change(&c)
		return c
	}
	requeued := func(state document.JobState) RequeueCandidate {
		return candidate(func(c *RequeueCandidate) { c.RequeuedJob = state })
	}
	for name, test := range map[string]struct {
		candidate    RequeueCandidate
		want, forced bool // without and with Force
	}{
		"complete":                {complete, false, true},
		"never published":         {candidate(func(c *RequeueCandidate) { c.Published = 0 }), true, true},
		"an older one published":  {candidate(func(c *RequeueCandidate) { c.Published = 1 }), true, true},
		"not in the space":        {candidate(func(c *RequeueCandidate) { c.HasSpaceVersion, c.Complete = false, false }), true, true},
		"damaged":                 {candidate(func(c *RequeueCandidate) { c.Complete = false }), true, true},
		"left out":                {candidate(func(c *RequeueCandidate) { c.LeftOut = true }), true, true},
		"busy":                    {candidate(func(c *RequeueCandidate) { c.HasActiveJob = true }), false, false},
		"busy and damaged":        {candidate(func(c *RequeueCandidate) { c.HasActiveJob, c.Complete = true, false }), false, false},
		"requeued, busy":          {candidate(func(c *RequeueCandidate) { c.HasActiveJob, c.RequeuedJob = true, "failed" }), false, false},
		"requeued, succeeded":     {requeued("succeeded"), false, false},
		"requeued, but damaged":   {candidate(func(c *RequeueCandidate) { c.RequeuedJob, c.Complete = "succeeded", false }), false, false},
		"requeued, failed":        {requeued("failed"), true, true},
		"requeued, cancelled":     {requeued("cancelled"), true, true},
		"requeued, summary waits": {requeued("waiting"), true, true}, // its knowledge task has failed: it is not busy
	} {
		for force, want := range map[bool]bool{false: test.want, true: test.forced} {
			r := reindexIn("running", changesNothing, func(r *Reindex) { r.Force = force })
			if got := r.ShouldRequeue(test.candidate); got != want {
				t.Errorf("%s, force %v: got %v, want %v", name, force, got, want)
			}
		}
	}
}

func TestEndRequeue(t *testing.T) {
	t.Parallel()
	progress := func(r *Reindex) { r.Progress.BytesDone = 70 }
	counted := func(r *Reindex) { r.Progress.Documents, r.Progress.Bytes = 5, 70 }
	failedJobs := func(r *Reindex) { r.FailedJobs = 2 }
	runReindexTests(t, func(r Reindex) (Reindex, error) { return r.EndRequeue(now), nil }, map[string]reindexTest{
		"succeeds": {reindexIn("running", changesNothing, progress),
			all(endedReindex("succeeded", ""), counted, func(r *Reindex) { r.Stage = document.StageDone }), ""},
		"fails": {reindexIn("running", changesNothing, progress, failedJobs),
			all(endedReindex("failed", "2 of 5 documents could not be reindexed: see the errors of their jobs"), counted), ""},
	})
}
