package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// What was uploaded while it was paused is missing: it begins with the documents
// again, whatever it was at.
func resumesWithTheDocuments(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "resume documents")
	work := startReindex(t, ctx, s, changeModelRequest(c))
	for _, state := range []document.JobState{document.JobPaused, document.JobFailed} {
		if err := s.SetReindexStage(ctx, work, document.StageVerify, document.ReindexProgress{}); err != nil {
			t.Fatal(err)
		}
		if state == document.JobFailed {
			recordOutcome(t, ctx, s, work, task.Outcome{Verdict: task.VerdictFail, Error: "no quota"})
		} else {
			recordOutcome(t, ctx, s, work, task.Outcome{Verdict: task.VerdictWait, Error: "down", Delay: time.Hour})
			if got := controlReindex(t, ctx, s, s.PauseReindex, work.JobID); got.Error != "" || got.NextAttemptAt != nil {
				t.Errorf("paused while it waits: got %+v, want nothing of what it waited for", got)
			}
		}
		if got := controlReindex(t, ctx, s, s.ResumeReindex, work.JobID); got.Stage != document.StageDocuments {
			t.Errorf("%s and resumed: got it at %s, want it at the documents", state, got.Stage)
		}
		work = claimReindex(t, ctx, s, work.JobID)
	}
	activateSpace(t, ctx, s, work, leaseTime)
}

// Whatever it is at while it reverts, it says that it does, and builds the space
// from before.
func keepsRevertingAtEveryStage(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "revert stage")
	done := runReindex(t, ctx, s, changeModelRequest(c), leaseTime)
	publishTexts(t, ctx, s, c, "a", "one")
	revertReindex(t, ctx, s, done.ID, leaseTime)
	work := claimReindex(t, ctx, s, done.ID)
	writeMissing(t, ctx, s, work)
	if err := s.SetReindexStage(ctx, work, document.StageVerify, document.ReindexProgress{Documents: 1}); err != nil {
		t.Fatal(err)
	}
	if got := readReindex(t, ctx, s, done.ID); got.Stage != document.StageReverting || got.Progress.Documents != 1 {
		t.Errorf("got %+v, want it reverting, with its progress", got)
	}
	if got := activateSpace(t, ctx, s, work, leaseTime); got.Stage != document.StageReverted || readCollection(t, ctx, s, c).ActiveSpace.ID != c.ActiveSpace.ID {
		t.Errorf("got %+v, want it reverted", got)
	}
}
