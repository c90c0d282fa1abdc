package storetest

import (
	"context"
	"testing"

	"github.com/seed-7a112592/gristmill/internal/rebuild"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// A version that the model does not take is left out of the space, which may
// become live without it. Its document is failed until it is redone, or the old
// space is live again.
func leavesOutWhatIsRefused(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "left out")
	good := publishTexts(t, ctx, s, c, "good", "one")
	bad := publishTexts(t, ctx, s, c, "bad", "two", "three")
	work := startReindex(t, ctx, s, changeModelRequest(c))
	writeToSpace(t, ctx, s, work, spaceWriteOf(good, passagesIn(work.Space, "one")...))
	part := spaceWriteOf(bad, passagesIn(work.Space, "two")...) // of what was placed before its last passage was refused
	part.Versions[0].TotalEntries = -1
	writeToSpace(t, ctx, s, work, part)
	writeToSpace(t, ctx, s, work, rebuild.SpaceWrite{Versions: []rebuild.VersionWrite{{MissingVersion: bad, LeftOutReason: "not this"}}, Checkpoint: bad.DocumentID})
	wantMissing(t, ctx, s, "all placed or left out", work)
	wantVersionTexts(t, ctx, s, "left out", work.Space, bad)

	activateSpace(t, ctx, s, work, leaseTime)
	wantHits(t, ctx, s, "without it", readCollection(t, ctx, s, c), "one")
	wantState(t, ctx, s, "left out", bad, document.DocumentFailed)
	wantState(t, ctx, s, "placed", good, document.DocumentReady)

	// The next reindex redoes it.
	if _, jobs := runRequeue(t, ctx, s, document.ReindexRequest{Collection: c.Name}); len(jobs) != 1 || jobs[0].DocumentID != bad.DocumentID {
		t.Fatalf("redone: %+v, want the document that was left out", jobs)
	} else {
		wantState(t, ctx, s, "being redone", bad, document.DocumentFailed)
		publishEverywhere(t, ctx, s, jobs[0], "two")
	}
	wantState(t, ctx, s, "redone", bad, document.DocumentReady)
	wantHits(t, ctx, s, "redone", readCollection(t, ctx, s, c), "one", "two")
}

func revertsToWhatWasLeftOut(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "left out and reverted")
	bad := publishTexts(t, ctx, s, c, "bad", "two", "three")
	work := startReindex(t, ctx, s, changeModelRequest(c))
	writeToSpace(t, ctx, s, work, rebuild.SpaceWrite{Versions: []rebuild.VersionWrite{{MissingVersion: bad, LeftOutReason: "not this"}}, Checkpoint: bad.DocumentID})
	activateSpace(t, ctx, s, work, leaseTime)
	wantState(t, ctx, s, "left out", bad, document.DocumentFailed)
	revertReindex(t, ctx, s, work.JobID, leaseTime)
	wantState(t, ctx, s, "reverted", bad, document.DocumentReady)
	wantHits(t, ctx, s, "reverted", readCollection(t, ctx, s, c), "three", "two")

	// A reindex to the space that was left tries it again.
	again := startReindex(t, ctx, s, changeModelRequest(c))
	if again.Space.ID != work.Space.ID {
		t.Fatalf("it builds space %d, want %d, which is kept", again.Space.ID, work.Space.ID)
	}
	wantMissing(t, ctx, s, "again", again, bad)
}

// What was uploaded last and came to nothing is in no space: a reindex that
// changes it says so.
func listsWhatFailedBefore(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "failed before")
	publishTexts(t, ctx, s, c, "good", "one")
	accepted := acceptUpload(t, ctx, s, uploadOf(c, "failed"))
	recordOutcome(t, ctx, s, claimTask(t, ctx, s, accepted.Job, task.KindKnowledge), task.Outcome{Verdict: task.VerdictFail, Error: "not this"})
	work := startReindex(t, ctx, s, changeModelRequest(c))
	writeMissing(t, ctx, s, work)
	activateSpace(t, ctx, s, work, leaseTime)
	p := readReindex(t, ctx, s, work.JobID).Progress
	want := document.LeftOut{DocumentID: accepted.Document.ID, Key: "failed", Error: "not this"}
	if p.LeftOutCount != 1 || len(p.LeftOut) != 1 || p.LeftOut[0] != want {
		t.Errorf("left out: %d, %+v; want %+v", p.LeftOutCount, p.LeftOut, want)
	}
}

// A document whose knowledge task has failed is redone while its summary still
// waits for its model.
func redoesWhatFailedBesideAWaitingSummary(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "failed beside a summary")
	accepted := acceptUpload(t, ctx, s, uploadOf(c, "failed"))
	recordOutcome(t, ctx, s, claimTask(t, ctx, s, accepted.Job, task.KindKnowledge), task.Outcome{Verdict: task.VerdictFail, Error: "not this"})
	recordOutcome(t, ctx, s, claimTask(t, ctx, s, accepted.Job, task.KindSummary), task.Outcome{Verdict: task.VerdictWait, Error: "down", Delay: leaseTime})
	work, jobs := runRequeue(t, ctx, s, document.ReindexRequest{Collection: c.Name})
	if len(jobs) != 1 {
		t.Fatalf("%d documents are redone, want 1", len(jobs))
	}
	recordOutcome(t, ctx, s, claimTask(t, ctx, s, jobs[0], task.KindKnowledge), task.Outcome{Verdict: task.VerdictFail, Error: "again"})
	recordOutcome(t, ctx, s, claimTask(t, ctx, s, jobs[0], task.KindSummary), task.Outcome{Verdict: task.VerdictFail, Error: "again"})
	if _, err := s.RequeueDocuments(ctx, work, 8); err != nil {
		t.Fatal(err)
	}
	r := readReindex(t, ctx, s, work.JobID)
	want := document.LeftOut{DocumentID: accepted.Document.ID, Key: "failed", Error: "again"}
	if r.State != document.JobFailed || r.Progress.LeftOutCount != 1 || len(r.Progress.LeftOut) != 1 || r.Progress.LeftOut[0] != want {
		t.Errorf("it is %s and lists %+v, want %+v", r.State, r.Progress.LeftOut, want)
	}
}

// The reindex that made the failed job redoes the document too, after it was resumed.
func redoesItsOwnJobBesideAWaitingSummary(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "own job failed beside a summary")
	for _, key := range []string{"a", "b"} {
		failJob(t, ctx, s, acceptUpload(t, ctx, s, uploadOf(c, key)).Job)
	}
	work, jobs := runRequeue(t, ctx, s, document.ReindexRequest{Collection: c.Name})
	recordOutcome(t, ctx, s, claimTask(t, ctx, s, jobs[0], task.KindKnowledge), task.Outcome{Verdict: task.VerdictFail, Error: "again"})
	recordOutcome(t, ctx, s, claimTask(t, ctx, s, jobs[0], task.KindSummary), task.Outcome{Verdict: task.VerdictWait, Error: "down", Delay: leaseTime})
	failJob(t, ctx, s, jobs[1])
	recordOutcome(t, ctx, s, work, task.Outcome{Verdict: task.VerdictFail, Error: "broken"})
	controlReindex(t, ctx, s, s.ResumeReindex, work.JobID)
	requeue(t, ctx, s, claimReindex(t, ctx, s, work.JobID), 10, rebuild.RequeueResult{Jobs: 2})
}

func wantState(t *testing.T, ctx context.Context, s Store, when string, of rebuild.MissingVersion, want document.DocumentState) {
	t.Helper()
	if got := readDocument(t, ctx, s, of.DocumentID).State; got != want {
		t.Errorf("%s: the document is %s, want %s", when, got, want)
	}
}
