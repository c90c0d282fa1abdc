package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/internal/rebuild"
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

// A paused reindex does not try the documents again that it left out; a failed one does,
// and no longer counts them as done.
func resumesWithLeftOutDocuments(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "resume left out")
	bad := publishTexts(t, ctx, s, c, "bad", "two")
	good := publishTexts(t, ctx, s, c, "good", "one")
	work := startReindex(t, ctx, s, changeModelRequest(c))
	progress := document.ReindexProgress{Documents: 2, DocumentsDone: 2, LeftOutCount: 1,
		LeftOut: []document.LeftOut{{DocumentID: bad.DocumentID, Key: "bad", Error: "not this"}}}
	written := spaceWriteOf(good, passagesIn(work.Space, "one")...)
	written.Versions = append(written.Versions, rebuild.VersionWrite{MissingVersion: bad, LeftOutReason: "not this"})
	if err := s.WriteToSpace(ctx, work, written, progress); err != nil {
		t.Fatal(err)
	}
	resume := func(when string, want document.ReindexProgress, missing ...rebuild.MissingVersion) {
		t.Helper()
		got := controlReindex(t, ctx, s, s.ResumeReindex, work.JobID)
		if diff := cmp.Diff(want, got.Progress); diff != "" {
			t.Errorf("%s: progress (-want +got):\n%s", when, diff)
		}
		work = claimReindex(t, ctx, s, work.JobID)
		wantMissing(t, ctx, s, when, work, missing...)
	}
	controlReindex(t, ctx, s, s.PauseReindex, work.JobID)
	resume("paused", progress)
	recordOutcome(t, ctx, s, work, task.Outcome{Verdict: task.VerdictFail, Error: "no quota"})
	resume("failed", document.ReindexProgress{Documents: 2, DocumentsDone: 1}, bad)
	writeMissing(t, ctx, s, work)
	activateSpace(t, ctx, s, work, leaseTime)
	wantState(t, ctx, s, "switched", bad, document.DocumentReady)
	wantHits(t, ctx, s, "switched", c, "one", "two")
}

// The space of a failed reindex is no longer retained: rows of it may be missing.
func resumesInNoExpiredSpace(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "resume over")
	a := publishTexts(t, ctx, s, c, "a", "one")
	failed := startReindex(t, ctx, s, changeModelRequest(c))
	writeMissing(t, ctx, s, failed)
	recordOutcome(t, ctx, s, failed, task.Outcome{Verdict: task.VerdictFail, Error: "no quota"})
	other := beginReindex(t, ctx, s, changeModelRequest(c)) // uses the same space
	cancelReindex(t, ctx, s, other.ID, 0)
	controlReindex(t, ctx, s, s.ResumeReindex, failed.JobID)
	work := claimReindex(t, ctx, s, failed.JobID)
	if work.Space.ID == failed.Space.ID {
		t.Errorf("resumed in space %d, which may lack rows", work.Space.ID)
	}
	wantMissing(t, ctx, s, "in a space of its own", work, a)
	writeMissing(t, ctx, s, work)
	activateSpace(t, ctx, s, work, leaseTime)
	wantHits(t, ctx, s, "switched", c, "one")
}

// Resuming a revert must not replace the space that another reindex has activated since.
func resumesNoRevertPastAnotherSpace(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "resume reverting")
	publishTexts(t, ctx, s, c, "a", "one")
	done := runReindex(t, ctx, s, changeModelRequest(c), leaseTime)
	publishTexts(t, ctx, s, c, "b", "two")
	revertReindex(t, ctx, s, done.ID, leaseTime)
	recordOutcome(t, ctx, s, claimReindex(t, ctx, s, done.ID), task.Outcome{Verdict: task.VerdictFail, Error: "no quota"})
	third := document.ReindexRequest{Collection: c.Name, Model: document.Model{Name: "third model", Dimensions: 2}}
	runReindex(t, ctx, s, third, leaseTime)
	wantRefused(t, ctx, s, "a third space is active", done.ID, "resume", "revert")
	if got := readCollection(t, ctx, s, c).ActiveSpace; got.Model != third.Model {
		t.Errorf("active space: got %+v, want that of the third model", got)
	}
}
