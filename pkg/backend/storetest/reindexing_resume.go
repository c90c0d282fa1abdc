package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// What was uploaded while it was paused is missing: it begins with the documents
// again, whatever it was at.
func resumesWithTheDocuments(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "resume documents")
	work := startReindex(t, ctx, s, anotherModel(c))
	for _, state := range []document.JobState{document.Paused, document.JobFailed} {
		if err := s.SetStage(ctx, work, document.StageVerify, document.ReindexProgress{}); err != nil {
			t.Fatal(err)
		}
		if state == document.JobFailed {
			settle(t, ctx, s, work, document.Outcome{Verdict: document.VerdictFail, Error: "no quota"})
		} else {
			settle(t, ctx, s, work, document.Outcome{Verdict: document.VerdictWait, Error: "down", Delay: time.Hour})
			if got := steerReindex(t, ctx, s, s.PauseReindex, work.Job); got.Error != "" || got.NextAttemptAt != nil {
				t.Errorf("paused while it waits: got %+v, want nothing of what it waited for", got)
			}
		}
		if got := steerReindex(t, ctx, s, s.ResumeReindex, work.Job); got.Stage != document.StageDocuments {
			t.Errorf("%s and resumed: got it at %s, want it at the documents", state, got.Stage)
		}
		work = claimReindex(t, ctx, s, work.Job)
	}
	finish(t, ctx, s, work, leaseTime)
}

// Whatever it is at while it reverts, it says that it does, and builds the space
// from before.
func keepsRevertingAtEveryStage(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "revert stage")
	done := change(t, ctx, s, anotherModel(c), leaseTime)
	publishTexts(t, ctx, s, c, "a", "one")
	revertReindex(t, ctx, s, done.ID, leaseTime)
	work := claimReindex(t, ctx, s, done.ID)
	fill(t, ctx, s, work)
	if err := s.SetStage(ctx, work, document.StageVerify, document.ReindexProgress{Documents: 1}); err != nil {
		t.Fatal(err)
	}
	if got := readReindex(t, ctx, s, done.ID); got.Stage != document.StageReverting || got.Progress.Documents != 1 {
		t.Errorf("got %+v, want it reverting, with its progress", got)
	}
	if got := finish(t, ctx, s, work, leaseTime); got.Stage != document.StageReverted || live(t, ctx, s, c).Space.ID != c.Space.ID {
		t.Errorf("got %+v, want it reverted", got)
	}
}
