package storetest

import (
	"context"
	"testing"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// A version that the model does not take is left out of the space, which may
// become live without it. Its document is failed until it is redone, or the old
// space is live again.
func leavesOutWhatIsRefused(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "left out")
	good := publishTexts(t, ctx, s, c, "good", "one")
	bad := publishTexts(t, ctx, s, c, "bad", "two", "three")
	work := startReindex(t, ctx, s, anotherModel(c))
	place(t, ctx, s, work, wholeOf(good, passagesIn(work.Space, "one")...))
	part := wholeOf(bad, passagesIn(work.Space, "two")...) // of what was placed before its last passage was refused
	part.Places[0].Whole = -1
	place(t, ctx, s, work, part)
	place(t, ctx, s, work, document.Rebuilt{Places: []document.RebuiltPlaces{{Unplaced: bad, LeftOut: "not this"}}, Reached: bad.Document})
	wantUnplaced(t, ctx, s, "all placed or left out", work)
	wantStored(t, ctx, s, "left out", work.Space, bad)

	finish(t, ctx, s, work, leaseTime)
	wantFound(t, ctx, s, "without it", live(t, ctx, s, c), "one")
	wantState(t, ctx, s, "left out", bad, document.Failed)
	wantState(t, ctx, s, "placed", good, document.Ready)

	// The next reindex redoes it.
	if _, jobs := redo(t, ctx, s, document.ReindexRequest{Collection: c.Name}); len(jobs) != 1 || jobs[0].DocumentID != bad.Document {
		t.Fatalf("redone: %+v, want the document that was left out", jobs)
	} else {
		wantState(t, ctx, s, "being redone", bad, document.Failed)
		publishEverywhere(t, ctx, s, jobs[0], "two")
	}
	wantState(t, ctx, s, "redone", bad, document.Ready)
	wantFound(t, ctx, s, "redone", live(t, ctx, s, c), "one", "two")
}

func revertsToWhatWasLeftOut(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "left out and reverted")
	bad := publishTexts(t, ctx, s, c, "bad", "two", "three")
	work := startReindex(t, ctx, s, anotherModel(c))
	place(t, ctx, s, work, document.Rebuilt{Places: []document.RebuiltPlaces{{Unplaced: bad, LeftOut: "not this"}}, Reached: bad.Document})
	finish(t, ctx, s, work, leaseTime)
	wantState(t, ctx, s, "left out", bad, document.Failed)
	revertReindex(t, ctx, s, work.Job, leaseTime)
	wantState(t, ctx, s, "reverted", bad, document.Ready)
	wantFound(t, ctx, s, "reverted", live(t, ctx, s, c), "three", "two")

	// A reindex to the space that was left tries it again.
	again := startReindex(t, ctx, s, anotherModel(c))
	if again.Space.ID != work.Space.ID {
		t.Fatalf("it builds space %d, want %d, which is kept", again.Space.ID, work.Space.ID)
	}
	wantUnplaced(t, ctx, s, "again", again, bad)
}

// What was uploaded last and came to nothing is in no space: a reindex that
// changes it says so.
func listsWhatFailedBefore(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "failed before")
	publishTexts(t, ctx, s, c, "good", "one")
	accepted := accept(t, ctx, s, uploadOf(c, "failed"))
	settle(t, ctx, s, claim(t, ctx, s, accepted.Job, document.Knowledge), document.Outcome{Verdict: document.VerdictFail, Error: "not this"})
	work := startReindex(t, ctx, s, anotherModel(c))
	fill(t, ctx, s, work)
	finish(t, ctx, s, work, leaseTime)
	p := readReindex(t, ctx, s, work.Job).Progress
	want := document.LeftOut{Document: accepted.Document.ID, Key: "failed", Error: "not this"}
	if p.LeftOutCount != 1 || len(p.LeftOut) != 1 || p.LeftOut[0] != want {
		t.Errorf("left out: %d, %+v; want %+v", p.LeftOutCount, p.LeftOut, want)
	}
}

// A document whose knowledge task has failed is redone while its summary still
// waits for its model.
func redoesWhatFailedBesideAWaitingSummary(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "failed beside a summary")
	accepted := accept(t, ctx, s, uploadOf(c, "failed"))
	settle(t, ctx, s, claim(t, ctx, s, accepted.Job, document.Knowledge), document.Outcome{Verdict: document.VerdictFail, Error: "not this"})
	settle(t, ctx, s, claim(t, ctx, s, accepted.Job, document.Summarise), document.Outcome{Verdict: document.VerdictWait, Error: "down", Delay: leaseTime})
	work, jobs := redo(t, ctx, s, document.ReindexRequest{Collection: c.Name})
	if len(jobs) != 1 {
		t.Fatalf("%d documents are redone, want 1", len(jobs))
	}
	settle(t, ctx, s, claim(t, ctx, s, jobs[0], document.Knowledge), document.Outcome{Verdict: document.VerdictFail, Error: "again"})
	settle(t, ctx, s, claim(t, ctx, s, jobs[0], document.Summarise), document.Outcome{Verdict: document.VerdictFail, Error: "again"})
	if _, err := s.Requeue(ctx, work, 8); err != nil {
		t.Fatal(err)
	}
	r := readReindex(t, ctx, s, work.Job)
	want := document.LeftOut{Document: accepted.Document.ID, Key: "failed", Error: "again"}
	if r.State != document.JobFailed || r.Progress.LeftOutCount != 1 || len(r.Progress.LeftOut) != 1 || r.Progress.LeftOut[0] != want {
		t.Errorf("it is %s and lists %+v, want %+v", r.State, r.Progress.LeftOut, want)
	}
}

func wantState(t *testing.T, ctx context.Context, s Store, when string, of document.Unplaced, want document.State) {
	t.Helper()
	if got := readDocument(t, ctx, s, of.Document).State; got != want {
		t.Errorf("%s: the document is %s, want %s", when, got, want)
	}
}
