package storetest

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
)

// in returns the work as of another space.
func in(space document.Space, work document.Work) document.Work {
	work.Space = space
	return work
}

func publishesInEverySpace(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "publish also")
	publishTexts(t, ctx, s, c, "a", "one")
	work := startReindex(t, ctx, s, anotherModel(c))
	fill(t, ctx, s, work)
	publishEverywhere(t, ctx, s, accept(t, ctx, s, uploadOf(c, "b")).Job, "two", "three")
	publishEverywhere(t, ctx, s, accept(t, ctx, s, uploadOf(c, "a")).Job, "one again")
	wantUnplaced(t, ctx, s, "published in both", work)
	wantFound(t, ctx, s, "before the switch", c, "one again", "three", "two")
	left := publishTexts(t, ctx, s, c, "c", "four")
	wantUnplaced(t, ctx, s, "published in one", work, left)
	fill(t, ctx, s, work)

	r := finish(t, ctx, s, work, leaseTime)
	wantFound(t, ctx, s, "switched", c, "four", "one again", "three", "two")
	publishEverywhere(t, ctx, s, accept(t, ctx, s, uploadOf(c, "d")).Job, "five")
	wantFound(t, ctx, s, "switched, and more", c, "five", "four", "one again", "three", "two")
	revertReindex(t, ctx, s, r.ID, leaseTime)
	wantFound(t, ctx, s, "reverted", c, "five", "four", "one again", "three", "two")
}

func publishesNothingIncompleteElsewhere(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "publish also partly")
	reindex := startReindex(t, ctx, s, anotherModel(c))
	work := begin(t, ctx, s, c, "a")
	other := work.Also[0]
	progress := document.KnowledgeProgress{Passages: 1}
	write(t, ctx, s, work, batchOf(0, passagesIn(c.Space, "one")...), progress)
	write(t, ctx, s, in(other, work), batchOf(0, passagesIn(other, "on", "e")...), progress)
	missing := batchOf(2, passagesIn(other, "swept away")...)
	missing.New = nil
	wantFault(t, s.Write(ctx, in(other, work), missing, progress), fault.Conflict)

	before := readJob(t, ctx, s, work.Job)
	for _, passages := range []int64{0, 1, 3} {
		if err := s.Publish(ctx, work, []document.Placement{{Space: other.ID, Passages: passages}}, progress); err == nil {
			t.Errorf("published %d passages where there are 2", passages)
		}
	}
	if diff := cmp.Diff(before, readJob(t, ctx, s, work.Job)); diff != "" {
		t.Errorf("job (-before +after):\n%s", diff)
	}
	if d := readDocument(t, ctx, s, work.Document); d.State != document.Pending {
		t.Errorf("document: got %s, want pending", d.State)
	}
	if err := s.Publish(ctx, work, []document.Placement{{Space: other.ID, Passages: 2}}, progress); err != nil {
		t.Fatal(err)
	}
	finish(t, ctx, s, reindex, leaseTime)
	wantFound(t, ctx, s, "switched", c, "e", "on")
}

func publishesEmptyVersionsInEverySpace(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "publish also nothing")
	work := startReindex(t, ctx, s, anotherModel(c))
	publishEverywhere(t, ctx, s, accept(t, ctx, s, uploadOf(c, "a")).Job)
	wantUnplaced(t, ctx, s, "published in both", work)
	finish(t, ctx, s, work, leaseTime)
}

func neverMixesAttemptsElsewhere(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "publish next attempt")
	reindex := startReindex(t, ctx, s, anotherModel(c))
	upload := uploadOf(c, "a")
	accepted := accept(t, ctx, s, upload)
	of := unplacedOf(upload, accepted)
	first := claim(t, ctx, s, accepted.Job, document.Knowledge)
	other := first.Also[0]
	progress := document.KnowledgeProgress{Passages: 1}
	write(t, ctx, s, in(other, first), batchOf(0, passagesIn(other, "cut", "otherwise")...), progress)
	settle(t, ctx, s, first, document.Outcome{Verdict: document.VerdictRetry, Error: "hiccup"})

	second := claim(t, ctx, s, accepted.Job, document.Knowledge)
	wantStored(t, ctx, s, "the next attempt", other, of)
	write(t, ctx, s, second, batchOf(0, passagesIn(c.Space, "one")...), progress)
	if err := s.Publish(ctx, second, nil, progress); err != nil {
		t.Fatal(err)
	}
	wantUnplaced(t, ctx, s, "published in one", reindex, of)
	wantKnown(t, ctx, s, other, hashesOf(passagesIn(other, "cut")...), passagesIn(other, "cut")...)
}

func publishesNoOlderVersionElsewhere(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "publish also superseded")
	reindex := startReindex(t, ctx, s, anotherModel(c))
	slow := begin(t, ctx, s, c, "a")
	progress := document.KnowledgeProgress{Passages: 1}
	for _, space := range []document.Space{slow.Space, slow.Also[0]} {
		write(t, ctx, s, in(space, slow), batchOf(0, passagesIn(space, "slow and old")...), progress)
	}
	publishEverywhere(t, ctx, s, accept(t, ctx, s, uploadOf(c, "a")).Job, "fast and new")
	if err := s.Publish(ctx, slow, []document.Placement{{Space: slow.Also[0].ID, Passages: 1}}, progress); err != nil {
		t.Fatal(err)
	}
	wantUnplaced(t, ctx, s, "published in both", reindex)
	finish(t, ctx, s, reindex, leaseTime)
	wantFound(t, ctx, s, "switched", c, "fast and new")
}

// A task that was claimed before the switch, and is published after it.
func publishesInWhatIsLiveByNow(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "publish switched")
	reindex := startReindex(t, ctx, s, anotherModel(c))
	progress := document.KnowledgeProgress{Passages: 1}
	writeBoth := func(work document.Work, text string) {
		t.Helper()
		for _, space := range append([]document.Space{work.Space}, work.Also...) {
			write(t, ctx, s, in(space, work), batchOf(0, passagesIn(space, text)...), progress)
		}
	}
	both, one, alone := begin(t, ctx, s, c, "both"), begin(t, ctx, s, c, "one"), begin(t, ctx, s, c, "alone")
	writeBoth(both, "in both")
	writeBoth(one, "in one")
	r := finish(t, ctx, s, reindex, leaseTime)

	if err := s.Publish(ctx, both, []document.Placement{{Space: reindex.Space.ID, Passages: 1}}, progress); err != nil {
		t.Fatal(err)
	}
	wantFound(t, ctx, s, "published in both", c, "in both")
	wantLeftAlone(t, ctx, s, alone, passagesIn(c.Space, "alone")[0])

	before := readJob(t, ctx, s, one.Job)
	wantFault(t, s.Publish(ctx, one, nil, progress), fault.Unavailable)
	if diff := cmp.Diff(before, readJob(t, ctx, s, one.Job)); diff != "" {
		t.Errorf("job (-before +after):\n%s", diff)
	}
	wantFound(t, ctx, s, "refused", c, "in both")
	settle(t, ctx, s, one, document.Outcome{Verdict: document.VerdictWait, Error: "switched"})
	one = claim(t, ctx, s, before, document.Knowledge)
	if one.Space.ID != reindex.Space.ID || len(one.Also) != 1 || one.Also[0].ID != c.Space.ID {
		t.Errorf("the next attempt: got space %d and also %+v, want %d and %d", one.Space.ID, one.Also, reindex.Space.ID, c.Space.ID)
	}
	writeBoth(one, "in one")
	if err := s.Publish(ctx, one, []document.Placement{{Space: c.Space.ID, Passages: 1}}, progress); err != nil {
		t.Fatal(err)
	}
	wantFound(t, ctx, s, "published by the next attempt", c, "in both", "in one")
	if r = revertReindex(t, ctx, s, r.ID, leaseTime); r.Stage != document.StageReverted {
		t.Errorf("reverted: got %+v, want it at once: all is in both spaces", r)
	}
	wantFound(t, ctx, s, "reverted", c, "in both", "in one")
}
