package storetest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/internal/rebuild"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

func revertsAtOnce(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "revert")
	publishTexts(t, ctx, s, c, "a", "one", "two")
	gone := publishTexts(t, ctx, s, c, "b", "three")
	done := runReindex(t, ctx, s, changeModelRequest(c), leaseTime)
	next := readCollection(t, ctx, s, c)
	publishEverywhere(t, ctx, s, acceptUpload(t, ctx, s, uploadOf(c, "c")).Job, "four")
	if err := s.DeleteDocument(ctx, gone.DocumentID); err != nil {
		t.Fatal(err)
	}
	got := revertReindex(t, ctx, s, done.ID, leaseTime)
	if got.State != document.JobSucceeded || got.Stage != document.StageReverted || got.RevertibleUntil != nil {
		t.Errorf("got %+v, want it reverted", got)
	}
	if diff := cmp.Diff(c.ActiveSpace, readCollection(t, ctx, s, c).ActiveSpace); diff != "" {
		t.Errorf("collection (-before +reverted):\n%s", diff)
	}
	wantHits(t, ctx, s, "reverted", c, "four", "one", "two")
	if _, err := searchAll(ctx, s, next); err == nil {
		t.Error("the space that was left still answers searches")
	}
	wantOtherSpaces(t, ctx, s, "reverted", c)
	wantRefused(t, ctx, s, "reverted", done.ID, "revert")
	// What was left is kept for another attempt at it.
	wantMissing(t, ctx, s, "once more", startReindex(t, ctx, s, changeModelRequest(c)))
}

func revertsOnceItHasCaughtUp(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "revert behind")
	publishTexts(t, ctx, s, c, "a", "one")
	done := runReindex(t, ctx, s, changeModelRequest(c), leaseTime)
	next := readCollection(t, ctx, s, c)
	late := publishTexts(t, ctx, s, c, "b", "two", "three") // in the live space only

	reverting := revertReindex(t, ctx, s, done.ID, leaseTime)
	if reverting.State != document.JobQueued || reverting.Stage != document.StageReverting || reverting.FinishedAt != nil || reverting.Attempt != 0 {
		t.Errorf("got %+v, want it queued, reverting", reverting)
	}
	wantHits(t, ctx, s, "reverting", c, "one", "three", "two")
	wantReindexActive(t, ctx, s, "reverting", document.ReindexRequest{Collection: c.Name}, done.ID)
	wantOtherSpaces(t, ctx, s, "reverting", c, c.ActiveSpace)

	work := claimReindex(t, ctx, s, done.ID)
	if diff := cmp.Diff(c.ActiveSpace, work.Space); diff != "" || work.Attempt != 1 {
		t.Errorf("attempt %d: space (-the one before +got):\n%s", work.Attempt, diff)
	}
	if got := planRebuild(t, ctx, s, work); !cmp.Equal(got.From, next.ActiveSpace) || !cmp.Equal(got.To, c.ActiveSpace) || got.Reindex.Stage != document.StageReverting {
		t.Errorf("rebuild: got %+v, want it from %d to %d", got, next.ActiveSpace.ID, c.ActiveSpace.ID)
	}
	wantMissing(t, ctx, s, "reverting", work, late)
	writeMissing(t, ctx, s, work)
	got := activateSpace(t, ctx, s, work, leaseTime)
	if got.State != document.JobSucceeded || got.Stage != document.StageReverted || got.FinishedAt == nil || got.RevertibleUntil != nil {
		t.Errorf("got %+v, want it reverted", got)
	}
	if diff := cmp.Diff(c.ActiveSpace, readCollection(t, ctx, s, c).ActiveSpace); diff != "" {
		t.Errorf("collection (-before +reverted):\n%s", diff)
	}
	wantHits(t, ctx, s, "reverted", c, "one", "three", "two")
	wantOtherSpaces(t, ctx, s, "reverted", c)
	wantRefused(t, ctx, s, "reverted", done.ID, "revert")
}

func controlsRevertingReindexes(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "revert steered")
	publishTexts(t, ctx, s, c, "a", "one")
	done := runReindex(t, ctx, s, changeModelRequest(c), leaseTime)
	next := readCollection(t, ctx, s, c)
	publishTexts(t, ctx, s, c, "b", "two")
	revertReindex(t, ctx, s, done.ID, leaseTime)

	work := claimReindex(t, ctx, s, done.ID)
	controlReindex(t, ctx, s, s.PauseReindex, done.ID)
	wantLeaseLost(t, ctx, s, "paused", work)
	wantOtherSpaces(t, ctx, s, "paused", c)
	if got := controlReindex(t, ctx, s, s.ResumeReindex, done.ID); got.State != document.JobQueued || got.Stage != document.StageReverting {
		t.Errorf("resumed: got %+v, want it queued, reverting", got)
	}
	wantOtherSpaces(t, ctx, s, "resumed", c, c.ActiveSpace)
	work = claimReindex(t, ctx, s, done.ID)
	recordOutcome(t, ctx, s, work, task.Outcome{Verdict: task.VerdictFail, Error: "no quota"})
	wantHits(t, ctx, s, "failed", c, "one", "two")
	if got := controlReindex(t, ctx, s, s.ResumeReindex, done.ID); got.State != document.JobQueued || got.Stage != document.StageReverting {
		t.Errorf("resumed once it had failed: got %+v, want it queued, reverting", got)
	}
	if work = claimReindex(t, ctx, s, done.ID); work.Space.ID != c.ActiveSpace.ID {
		t.Errorf("resumed once it had failed: got space %d, want %d", work.Space.ID, c.ActiveSpace.ID)
	}

	// What was embedded on the way back was, but by the model from before.
	if err := s.SetReindexStage(ctx, work, document.StageDocuments, document.ReindexProgress{Passages: 7, Embedded: 7, Seconds: 1}); err != nil {
		t.Fatal(err)
	}
	got := cancelReindex(t, ctx, s, done.ID, leaseTime)
	if got.State != document.JobSucceeded || got.Stage != document.StageDone || got.FinishedAt == nil || !cmp.Equal(got.Progress, document.ReindexProgress{}) {
		t.Errorf("cancelled: got %+v, want it done, as before", got)
	}
	wantLeaseLost(t, ctx, s, "cancelled", work)
	if diff := cmp.Diff(next.ActiveSpace, readCollection(t, ctx, s, c).ActiveSpace); diff != "" {
		t.Errorf("cancelled: collection (-switched +got):\n%s", diff)
	}
	other := beginReindex(t, ctx, s, document.ReindexRequest{Collection: c.Name})
	cancelReindex(t, ctx, s, other.ID, leaseTime)
	if got.RevertibleUntil == nil {
		wantRefused(t, ctx, s, "cancelled", done.ID, "revert")
		return
	}
	if got := revertReindex(t, ctx, s, done.ID, leaseTime); got.Stage != document.StageReverting {
		t.Errorf("once more: got %+v, want it reverting", got)
	}
	work = claimReindex(t, ctx, s, done.ID)
	writeMissing(t, ctx, s, work)
	activateSpace(t, ctx, s, work, leaseTime)
	wantHits(t, ctx, s, "reverted", c, "one", "two")
}

// Another reindex has begun to go back the same way, and was cancelled: what it
// left is behind by now.
func revertsWhatWasLeftAlone(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "revert left")
	publishTexts(t, ctx, s, c, "a", "one")
	done := runReindex(t, ctx, s, changeModelRequest(c), leaseTime)
	back := startReindex(t, ctx, s, document.ReindexRequest{Collection: c.Name, Model: c.ActiveSpace.Model})
	cancelReindex(t, ctx, s, back.JobID, leaseTime)
	publishEverywhere(t, ctx, s, acceptUpload(t, ctx, s, uploadOf(c, "b")).Job, "two")
	if readReindex(t, ctx, s, done.ID).RevertibleUntil == nil {
		wantRefused(t, ctx, s, "left", done.ID, "revert")
		return
	}
	if got := revertReindex(t, ctx, s, done.ID, leaseTime); got.Stage == document.StageReverting {
		work := claimReindex(t, ctx, s, done.ID)
		writeMissing(t, ctx, s, work)
		activateSpace(t, ctx, s, work, leaseTime)
	}
	wantHits(t, ctx, s, "reverted", c, "one", "two")
}

func revertsNothingElse(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "revert nothing")
	publishTexts(t, ctx, s, c, "a", "one")
	unchanged := startReindex(t, ctx, s, document.ReindexRequest{Collection: c.Name})
	requeue(t, ctx, s, unchanged, 10, rebuild.RequeueResult{Ended: true})
	wantRefused(t, ctx, s, "it changed no space", unchanged.JobID, "revert")

	work := startReindex(t, ctx, s, changeModelRequest(c))
	wantRefused(t, ctx, s, "it is running", work.JobID, "revert")
	controlReindex(t, ctx, s, s.PauseReindex, work.JobID)
	wantRefused(t, ctx, s, "it is paused", work.JobID, "revert")
	cancelReindex(t, ctx, s, work.JobID, leaseTime)
	wantRefused(t, ctx, s, "it was cancelled", work.JobID, "revert")
	work = startReindex(t, ctx, s, changeModelRequest(c))
	recordOutcome(t, ctx, s, work, task.Outcome{Verdict: task.VerdictFail, Error: "broken"})
	wantRefused(t, ctx, s, "it failed", work.JobID, "revert")

	over := runReindex(t, ctx, s, changeModelRequest(c), 0)
	next := readCollection(t, ctx, s, c)
	wantRefused(t, ctx, s, "its time is over", over.ID, "revert")
	if until := readReindex(t, ctx, s, over.ID).RevertibleUntil; until != nil && until.After(time.Now()) {
		t.Errorf("its time is over: revertible until %v", until)
	}
	if diff := cmp.Diff(next.ActiveSpace, readCollection(t, ctx, s, c).ActiveSpace); diff != "" {
		t.Errorf("collection (-before +after):\n%s", diff)
	}
	done := runReindex(t, ctx, s, document.ReindexRequest{Collection: c.Name, Tokens: 100}, leaseTime)
	other := beginReindex(t, ctx, s, document.ReindexRequest{Collection: c.Name})
	wantRefused(t, ctx, s, "another is active", done.ID, "revert")
	cancelReindex(t, ctx, s, other.ID, leaseTime)
	revertReindex(t, ctx, s, done.ID, leaseTime)
	wantHits(t, ctx, s, "reverted after all", c, "one")
}

func revertsOneAfterTheOther(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "revert twice")
	publishTexts(t, ctx, s, c, "a", "one")
	first := runReindex(t, ctx, s, changeModelRequest(c), leaseTime)
	next := readCollection(t, ctx, s, c)
	work := startReindex(t, ctx, s, document.ReindexRequest{Collection: c.Name, Tokens: 100})
	wantOtherSpaces(t, ctx, s, "a second is built", c, c.ActiveSpace, work.Space)
	writeMissing(t, ctx, s, work)
	second := activateSpace(t, ctx, s, work, 2*leaseTime)
	// One step back is kept complete; whether two are is for the store to say.
	if !slices.ContainsFunc(otherSpaces(t, ctx, s, c), func(space vector.Space) bool { return space.ID == next.ActiveSpace.ID }) {
		t.Errorf("switched to a third: space %d is not written any more", next.ActiveSpace.ID)
	}
	if until := second.RevertibleUntil; until == nil || time.Until(*until) < leaseTime {
		t.Errorf("revertible until %v, want two hours from now", until)
	}
	publishEverywhere(t, ctx, s, acceptUpload(t, ctx, s, uploadOf(c, "b")).Job, "two")

	wantRefused(t, ctx, s, "another space is live", first.ID, "revert")
	if until := readReindex(t, ctx, s, first.ID).RevertibleUntil; until != nil {
		t.Errorf("another space is live: revertible until %v, want never", until)
	}
	revertReindex(t, ctx, s, second.ID, leaseTime)
	if got := readCollection(t, ctx, s, c); got.ActiveSpace.ID != next.ActiveSpace.ID {
		t.Errorf("reverted to %+v, want %+v", got.ActiveSpace, next.ActiveSpace)
	}
	if got := revertReindex(t, ctx, s, first.ID, leaseTime); got.Stage == document.StageReverting {
		work := claimReindex(t, ctx, s, first.ID)
		writeMissing(t, ctx, s, work)
		activateSpace(t, ctx, s, work, leaseTime)
	}
	if got := readCollection(t, ctx, s, c); got.ActiveSpace.ID != c.ActiveSpace.ID {
		t.Errorf("reverted again to %+v, want %+v", got.ActiveSpace, c.ActiveSpace)
	}
	wantHits(t, ctx, s, "reverted twice", c, "one", "two")
}
