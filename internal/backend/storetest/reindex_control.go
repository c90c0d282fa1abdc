package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// reindexControls are what a client may do to a reindex, by name.
func reindexControls(s Store) map[string]func(context.Context, uuid.UUID) (document.Reindex, error) {
	return map[string]func(context.Context, uuid.UUID) (document.Reindex, error){
		"pause":  s.PauseReindex,
		"resume": s.ResumeReindex,
		"cancel": func(ctx context.Context, id uuid.UUID) (document.Reindex, error) {
			return s.CancelReindex(ctx, id, leaseTime)
		},
		"revert": func(ctx context.Context, id uuid.UUID) (document.Reindex, error) {
			return s.RevertReindex(ctx, id, leaseTime)
		},
	}
}

// wantRefused checks that steering is a conflict that changes nothing.
func wantRefused(t *testing.T, ctx context.Context, s Store, when string, id uuid.UUID, names ...string) {
	t.Helper()
	before := readReindex(t, ctx, s, id)
	for _, name := range names {
		if got, err := reindexControls(s)[name](ctx, id); !fault.Is(err, fault.Conflict) {
			t.Errorf("%s: %s: got %+v, %v, want a failure of kind conflict", when, name, got, err)
		}
	}
	if diff := cmp.Diff(before, readReindex(t, ctx, s, id)); diff != "" {
		t.Errorf("%s: reindex (-before +after):\n%s", when, diff)
	}
}

func controlsNothingUnknown(t *testing.T, ctx context.Context, s Store) {
	for name, steer := range reindexControls(s) {
		if _, err := steer(ctx, uuid.New()); !fault.Is(err, fault.NotFound) {
			t.Errorf("%s: got error %v, want one of kind not_found", name, err)
		}
	}
	_, err := s.Reindex(ctx, uuid.New())
	wantFault(t, err, fault.NotFound)
}

func pausesReindexes(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "pause")
	a := publishTexts(t, ctx, s, c, "a", "one")
	b := publishTexts(t, ctx, s, c, "b", "two")
	work := startReindex(t, ctx, s, changeModelRequest(c))
	progress := document.ReindexProgress{Documents: 2, DocumentsDone: 1, Embedded: 1}
	if err := s.WriteToSpace(ctx, work, spaceWriteOf(a, passagesIn(work.Space, "one")...), progress); err != nil {
		t.Fatal(err)
	}
	paused := controlReindex(t, ctx, s, s.PauseReindex, work.JobID)
	if paused.State != document.JobPaused || paused.FinishedAt != nil || paused.Stage != document.StageDocuments || !cmp.Equal(paused.Progress, progress) {
		t.Errorf("got %+v, want it paused, with its progress", paused)
	}
	if diff := cmp.Diff(paused, controlReindex(t, ctx, s, s.PauseReindex, work.JobID)); diff != "" {
		t.Errorf("pausing again changed it (-before +after):\n%s", diff)
	}
	wantLeaseLost(t, ctx, s, "paused", work)
	_, err := s.Claim(ctx, work.Ref, leaseTime)
	wantFault(t, err, fault.NotFound)
	wantOtherSpaces(t, ctx, s, "paused", c)
	publishTexts(t, ctx, s, c, "c", "three")
	wantHits(t, ctx, s, "paused", c, "one", "three", "two")

	resumed := controlReindex(t, ctx, s, s.ResumeReindex, work.JobID)
	if resumed.State != document.JobQueued || resumed.Attempt != 0 || resumed.Error != "" || !cmp.Equal(resumed.Progress, progress) {
		t.Errorf("got %+v, want it queued afresh, with its progress", resumed)
	}
	if diff := cmp.Diff(resumed, controlReindex(t, ctx, s, s.ResumeReindex, work.JobID)); diff != "" {
		t.Errorf("resuming again changed it (-before +after):\n%s", diff)
	}
	wantOtherSpaces(t, ctx, s, "resumed", c, work.Space)
	again := claimReindex(t, ctx, s, work.JobID)
	if again.Attempt != 1 || again.Crashes != 0 || again.Space.ID != work.Space.ID {
		t.Errorf("resumed: got work %+v, want the first attempt at space %d", again, work.Space.ID)
	}
	if got := missingVersions(t, ctx, s, again); len(got) != 2 || got[0] != b {
		t.Errorf("resumed: unplaced %+v, want b and what came since", got)
	}
	running := readReindex(t, ctx, s, work.JobID)
	if diff := cmp.Diff(running, controlReindex(t, ctx, s, s.ResumeReindex, work.JobID)); diff != "" {
		t.Errorf("resuming what runs changed it (-before +after):\n%s", diff)
	}
	writeMissing(t, ctx, s, again)
	activateSpace(t, ctx, s, again, leaseTime)
	wantHits(t, ctx, s, "switched", c, "one", "three", "two")
}

func pausesNothingEnded(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "pause ended")
	wantRefused(t, ctx, s, "succeeded", runReindex(t, ctx, s, changeModelRequest(c), leaseTime).ID, "pause")
	request := document.ReindexRequest{Collection: c.Name}
	wantRefused(t, ctx, s, "cancelled", cancelReindex(t, ctx, s, beginReindex(t, ctx, s, request).ID, 0).ID, "pause")
	failed := startReindex(t, ctx, s, request)
	recordOutcome(t, ctx, s, failed, task.Outcome{Verdict: task.VerdictFail, Error: "broken"})
	wantRefused(t, ctx, s, "failed", failed.JobID, "pause")

	queued := controlReindex(t, ctx, s, s.PauseReindex, beginReindex(t, ctx, s, request).ID)
	if queued.State != document.JobPaused || queued.StartedAt != nil {
		t.Errorf("queued: got %+v, want it paused", queued)
	}
}

func resumesFailedReindexes(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "resume failed")
	a := publishTexts(t, ctx, s, c, "a", "one")
	work := startReindex(t, ctx, s, changeModelRequest(c))
	writeMissing(t, ctx, s, work)
	recordOutcome(t, ctx, s, work, task.Outcome{Verdict: task.VerdictFail, Error: "no quota"})
	wantOtherSpaces(t, ctx, s, "failed", c)
	b := publishTexts(t, ctx, s, c, "b", "two")

	other := beginReindex(t, ctx, s, document.ReindexRequest{Collection: c.Name})
	wantRefused(t, ctx, s, "another is active", work.JobID, "resume")
	cancelReindex(t, ctx, s, other.ID, leaseTime)
	got := controlReindex(t, ctx, s, s.ResumeReindex, work.JobID)
	if got.State != document.JobQueued || got.Attempt != 0 || got.Error != "" || got.FinishedAt != nil {
		t.Errorf("got %+v, want it queued afresh", got)
	}
	wantOtherSpaces(t, ctx, s, "resumed", c, work.Space)
	wantReindexActive(t, ctx, s, "resumed", changeModelRequest(c), work.JobID)
	work = claimReindex(t, ctx, s, work.JobID)
	wantMissing(t, ctx, s, "resumed", work, b)
	if got := planRebuild(t, ctx, s, work).Checkpoint; got != a.DocumentID {
		t.Errorf("resumed: it begins after document %s, want %s, where it stopped", got, a.DocumentID)
	}
	writeMissing(t, ctx, s, work)
	activateSpace(t, ctx, s, work, leaseTime)
	wantHits(t, ctx, s, "switched", c, "one", "two")
}

func resumesNothingEnded(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "resume ended")
	wantRefused(t, ctx, s, "succeeded", runReindex(t, ctx, s, changeModelRequest(c), leaseTime).ID, "resume")
	r := beginReindex(t, ctx, s, document.ReindexRequest{Collection: c.Name})
	wantRefused(t, ctx, s, "cancelled", cancelReindex(t, ctx, s, r.ID, leaseTime).ID, "resume")
}

// While it was failed, another reindex has switched: it goes on from there, and
// that is what it can be reverted to.
func resumesFromTheActiveSpace(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "resume elsewhere")
	publishTexts(t, ctx, s, c, "a", "one", "two")
	work := startReindex(t, ctx, s, changeModelRequest(c))
	recordOutcome(t, ctx, s, work, task.Outcome{Verdict: task.VerdictFail, Error: "no quota"})
	runReindex(t, ctx, s, document.ReindexRequest{Collection: c.Name, Model: document.Model{Name: "third model", Dimensions: 2}}, leaseTime)
	third := readCollection(t, ctx, s, c).ActiveSpace

	controlReindex(t, ctx, s, s.ResumeReindex, work.JobID)
	work = claimReindex(t, ctx, s, work.JobID)
	if got := planRebuild(t, ctx, s, work); !cmp.Equal(got.From, third) || got.To.Model != changeModelRequest(c).Model {
		t.Errorf("rebuild: got %+v, want it from the live space, %+v", got, third)
	}
	writeMissing(t, ctx, s, work)
	r := activateSpace(t, ctx, s, work, leaseTime)
	wantHits(t, ctx, s, "switched", c, "one", "two")
	revertReindex(t, ctx, s, r.ID, leaseTime)
	if got := readCollection(t, ctx, s, c).ActiveSpace; got.ID != third.ID {
		t.Errorf("reverted to %+v, want %+v", got, third)
	}
}

// Another reindex has built the space that a failed one was to build: the failed one
// finds nothing missing, the active space stays, and there is nothing to revert to.
func resumesTowardsTheActiveSpace(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "resume live")
	publishTexts(t, ctx, s, c, "a", "one", "two")
	failed := startReindex(t, ctx, s, changeModelRequest(c))
	recordOutcome(t, ctx, s, failed, task.Outcome{Verdict: task.VerdictFail, Error: "no quota"})
	runReindex(t, ctx, s, changeModelRequest(c), 0)
	controlReindex(t, ctx, s, s.ResumeReindex, failed.JobID)
	work := claimReindex(t, ctx, s, failed.JobID)
	wantMissing(t, ctx, s, "resumed", work)
	activateSpace(t, ctx, s, work, 0)
	wantRefused(t, ctx, s, "succeeded", failed.JobID, "revert")
	if got := readCollection(t, ctx, s, c).ActiveSpace; got.Model != changeModelRequest(c).Model {
		t.Errorf("live space: got %+v", got)
	}
	collectSpaces(t, ctx, s)
	wantHits(t, ctx, s, "afterwards", c, "one", "two")
	publishEverywhere(t, ctx, s, acceptUpload(t, ctx, s, uploadOf(c, "b")).Job, "three")
	wantHits(t, ctx, s, "and uploaded", c, "one", "three", "two")
}

func cancelsReindexes(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "cancel reindex")
	publishTexts(t, ctx, s, c, "a", "one")
	work := startReindex(t, ctx, s, changeModelRequest(c))
	writeMissing(t, ctx, s, work)
	for i, state := range []document.JobState{document.JobRunning, document.JobQueued, document.JobWaiting, document.JobPaused} {
		if i > 0 {
			work = startReindex(t, ctx, s, changeModelRequest(c))
		}
		switch state {
		case document.JobWaiting:
			recordOutcome(t, ctx, s, work, task.Outcome{Verdict: task.VerdictWait, Error: "down", Delay: time.Hour})
		case document.JobPaused:
			controlReindex(t, ctx, s, s.PauseReindex, work.JobID)
		case document.JobQueued:
			controlReindex(t, ctx, s, s.PauseReindex, work.JobID)
			controlReindex(t, ctx, s, s.ResumeReindex, work.JobID)
		}
		got := cancelReindex(t, ctx, s, work.JobID, leaseTime)
		if got.State != document.JobCancelled || got.FinishedAt == nil || got.NextAttemptAt != nil || got.RevertibleUntil != nil {
			t.Errorf("%s: got %+v, want it cancelled", state, got)
		}
		if diff := cmp.Diff(got, cancelReindex(t, ctx, s, work.JobID, 0)); diff != "" {
			t.Errorf("%s: cancelling again changed it (-before +after):\n%s", state, diff)
		}
		wantLeaseLost(t, ctx, s, string(state), work)
		_, err := s.Claim(ctx, work.Ref, leaseTime)
		wantFault(t, err, fault.NotFound)
		wantOtherSpaces(t, ctx, s, string(state), c)
		wantReusable(t, ctx, s, work.Space, passagesIn(work.Space, "one"), passagesIn(work.Space, "one")...)
	}
	wantHits(t, ctx, s, "cancelled", c, "one")
}

func cancelsNothingEnded(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "cancel ended reindex")
	r := runReindex(t, ctx, s, changeModelRequest(c), leaseTime)
	wantRefused(t, ctx, s, "succeeded", r.ID, "cancel")
	failed := startReindex(t, ctx, s, document.ReindexRequest{Collection: c.Name})
	recordOutcome(t, ctx, s, failed, task.Outcome{Verdict: task.VerdictFail, Error: "broken"})
	wantRefused(t, ctx, s, "failed", failed.JobID, "cancel")
	revertReindex(t, ctx, s, r.ID, leaseTime)
	wantRefused(t, ctx, s, "reverted", r.ID, "cancel", "pause", "resume")
}
