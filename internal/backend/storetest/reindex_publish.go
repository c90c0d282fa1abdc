package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// withSpace returns the work as of another space.
func withSpace(space vector.Space, work task.Work) task.Work {
	work.Space = space
	return work
}

func publishesInEverySpace(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "publish also")
	publishTexts(t, ctx, s, c, "a", "one")
	work := startReindex(t, ctx, s, changeModelRequest(c))
	writeMissing(t, ctx, s, work)
	publishEverywhere(t, ctx, s, acceptUpload(t, ctx, s, uploadOf(c, "b")).Job, "two", "three")
	publishEverywhere(t, ctx, s, acceptUpload(t, ctx, s, uploadOf(c, "a")).Job, "one again")
	wantMissing(t, ctx, s, "published in both", work)
	wantHits(t, ctx, s, "before the switch", c, "one again", "three", "two")
	left := publishTexts(t, ctx, s, c, "c", "four")
	wantMissing(t, ctx, s, "published in one", work, left)
	writeMissing(t, ctx, s, work)

	r := activateSpace(t, ctx, s, work, leaseTime)
	wantHits(t, ctx, s, "switched", c, "four", "one again", "three", "two")
	publishEverywhere(t, ctx, s, acceptUpload(t, ctx, s, uploadOf(c, "d")).Job, "five")
	wantHits(t, ctx, s, "switched, and more", c, "five", "four", "one again", "three", "two")
	revertReindex(t, ctx, s, r.ID, leaseTime)
	wantHits(t, ctx, s, "reverted", c, "five", "four", "one again", "three", "two")
}

func publishesNothingIncompleteElsewhere(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "publish also partly")
	reindex := startReindex(t, ctx, s, changeModelRequest(c))
	work := beginKnowledge(t, ctx, s, c, "a")
	other := work.OtherSpaces[0]
	progress := document.KnowledgeProgress{Passages: 1}
	writeBatch(t, ctx, s, work, batchOf(0, passagesIn(c.ActiveSpace, "one")...), progress)
	writeBatch(t, ctx, s, withSpace(other, work), batchOf(0, passagesIn(other, "on", "e")...), progress)
	missing := batchOf(2, passagesIn(other, "swept away")...)
	missing.New = nil
	wantFault(t, s.WriteBatch(ctx, withSpace(other, work), missing, progress), fault.Conflict)

	before := readJob(t, ctx, s, work.JobID)
	for _, passages := range []int64{0, 1, 3} {
		if err := s.Publish(ctx, work, []vector.SpaceVersion{{SpaceID: other.ID, Passages: passages}}, progress); err == nil {
			t.Errorf("published %d passages where there are 2", passages)
		}
	}
	if diff := cmp.Diff(before, readJob(t, ctx, s, work.JobID)); diff != "" {
		t.Errorf("job (-before +after):\n%s", diff)
	}
	if d := readDocument(t, ctx, s, work.DocumentID); d.State != document.DocumentPending {
		t.Errorf("document: got %s, want pending", d.State)
	}
	if err := s.Publish(ctx, work, []vector.SpaceVersion{{SpaceID: other.ID, Passages: 2}}, progress); err != nil {
		t.Fatal(err)
	}
	activateSpace(t, ctx, s, reindex, leaseTime)
	wantHits(t, ctx, s, "switched", c, "e", "on")
}

func publishesEmptyVersionsInEverySpace(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "publish also nothing")
	work := startReindex(t, ctx, s, changeModelRequest(c))
	publishEverywhere(t, ctx, s, acceptUpload(t, ctx, s, uploadOf(c, "a")).Job)
	wantMissing(t, ctx, s, "published in both", work)
	activateSpace(t, ctx, s, work, leaseTime)
}

func neverMixesAttemptsElsewhere(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "publish next attempt")
	reindex := startReindex(t, ctx, s, changeModelRequest(c))
	upload := uploadOf(c, "a")
	accepted := acceptUpload(t, ctx, s, upload)
	of := missingVersionOf(upload, accepted)
	first := claimTask(t, ctx, s, accepted.Job, task.KindKnowledge)
	other := first.OtherSpaces[0]
	progress := document.KnowledgeProgress{Passages: 1}
	writeBatch(t, ctx, s, withSpace(other, first), batchOf(0, passagesIn(other, "cut", "otherwise")...), progress)
	recordOutcome(t, ctx, s, first, task.Outcome{Verdict: task.VerdictRetry, Error: "hiccup"})

	second := claimTask(t, ctx, s, accepted.Job, task.KindKnowledge)
	wantVersionTexts(t, ctx, s, "the next attempt", other, of)
	writeBatch(t, ctx, s, second, batchOf(0, passagesIn(c.ActiveSpace, "one")...), progress)
	if err := s.Publish(ctx, second, nil, progress); err != nil {
		t.Fatal(err)
	}
	wantMissing(t, ctx, s, "published in one", reindex, of)
	wantKnown(t, ctx, s, other, hashesOf(passagesIn(other, "cut")...), passagesIn(other, "cut")...)
}

func publishesNoOlderVersionElsewhere(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "publish also superseded")
	reindex := startReindex(t, ctx, s, changeModelRequest(c))
	slow := beginKnowledge(t, ctx, s, c, "a")
	progress := document.KnowledgeProgress{Passages: 1}
	for _, space := range []vector.Space{slow.Space, slow.OtherSpaces[0]} {
		writeBatch(t, ctx, s, withSpace(space, slow), batchOf(0, passagesIn(space, "slow and old")...), progress)
	}
	publishEverywhere(t, ctx, s, acceptUpload(t, ctx, s, uploadOf(c, "a")).Job, "fast and new")
	if err := s.Publish(ctx, slow, []vector.SpaceVersion{{SpaceID: slow.OtherSpaces[0].ID, Passages: 1}}, progress); err != nil {
		t.Fatal(err)
	}
	wantMissing(t, ctx, s, "published in both", reindex)
	activateSpace(t, ctx, s, reindex, leaseTime)
	wantHits(t, ctx, s, "switched", c, "fast and new")
}

// A task that was claimed before the switch, and is published after it.
func publishesInTheActiveSpace(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "publish switched")
	reindex := startReindex(t, ctx, s, changeModelRequest(c))
	progress := document.KnowledgeProgress{Passages: 1}
	writeBoth := func(work task.Work, text string) {
		t.Helper()
		for _, space := range append([]vector.Space{work.Space}, work.OtherSpaces...) {
			writeBatch(t, ctx, s, withSpace(space, work), batchOf(0, passagesIn(space, text)...), progress)
		}
	}
	both, one, alone := beginKnowledge(t, ctx, s, c, "both"), beginKnowledge(t, ctx, s, c, "one"), beginKnowledge(t, ctx, s, c, "alone")
	writeBoth(both, "in both")
	writeBoth(one, "in one")
	r := activateSpace(t, ctx, s, reindex, leaseTime)

	if err := s.Publish(ctx, both, []vector.SpaceVersion{{SpaceID: reindex.Space.ID, Passages: 1}}, progress); err != nil {
		t.Fatal(err)
	}
	wantHits(t, ctx, s, "published in both", c, "in both")
	wantUnchangedTask(t, ctx, s, alone, passagesIn(c.ActiveSpace, "alone")[0])

	before := readJob(t, ctx, s, one.JobID)
	err := s.Publish(ctx, one, nil, progress)
	wantFault(t, err, fault.Unavailable)
	if e := fault.As(err); e != nil && e.RetryAfter != time.Second {
		t.Errorf("try again after %v, want 1s: the next attempt can be published", e.RetryAfter)
	}
	if diff := cmp.Diff(before, readJob(t, ctx, s, one.JobID)); diff != "" {
		t.Errorf("job (-before +after):\n%s", diff)
	}
	wantHits(t, ctx, s, "refused", c, "in both")
	recordOutcome(t, ctx, s, one, task.Outcome{Verdict: task.VerdictWait, Error: "switched"})
	one = claimTask(t, ctx, s, before, task.KindKnowledge)
	if one.Space.ID != reindex.Space.ID || len(one.OtherSpaces) != 1 || one.OtherSpaces[0].ID != c.ActiveSpace.ID {
		t.Errorf("the next attempt: got space %d and also %+v, want %d and %d", one.Space.ID, one.OtherSpaces, reindex.Space.ID, c.ActiveSpace.ID)
	}
	writeBoth(one, "in one")
	if err := s.Publish(ctx, one, []vector.SpaceVersion{{SpaceID: c.ActiveSpace.ID, Passages: 1}}, progress); err != nil {
		t.Fatal(err)
	}
	wantHits(t, ctx, s, "published by the next attempt", c, "in both", "in one")
	if r = revertReindex(t, ctx, s, r.ID, leaseTime); r.Stage != document.StageReverted {
		t.Errorf("reverted: got %+v, want it at once: all is in both spaces", r)
	}
	wantHits(t, ctx, s, "reverted", c, "in both", "in one")
}
