package storetest

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
	"github.com/seed-7a112592/gristmill/pkg/tenant"
)

// What is dropped and indexed is all that there is of a tenant, so each test
// has its own store.
func spaces(t *testing.T, open func(t *testing.T) Store) {
	for name, test := range map[string]func(*testing.T, context.Context, Store){
		"Collections":         listsCollections,
		"Drop left":           dropsSpacesThatWereLeft,
		"Drop cancelled":      dropsSpacesOfCancelledReindexes,
		"Drop reverted":       dropsSpacesThatWereRevertedFrom,
		"Drop nothing":        dropsNothingInUse,
		"Drop and resume":     resumesWithoutTheSpace,
		"Drop and publish":    publishesWithoutTheSpace,
		"Drop and begin":      makesNoSpaceLikeADroppedOne,
		"Drop in parts":       dropsAtMostSoMuch,
		"Orphans being built": dropsNoOrphanOfASpaceInTheMaking,
		"Orphans unwritten":   dropsNoOrphanOfASpaceThatIsKept,
		"Orphans waiting":     dropsNoOrphanWhileItsCollectionIsWrittenTo,
		"Index":               indexesSpaces,
		"Index meanwhile":     indexesWhileDocumentsChange,
		"All at once":         rebuildsWhileDocumentsChange,
	} {
		t.Run(name, func(t *testing.T) { test(t, as(t, tenant.Default), open(t)) })
	}
}

func listsCollections(t *testing.T, ctx context.Context, s Store) {
	want := []document.Collection{}
	check := func(when string) {
		t.Helper()
		got, err := s.Collections(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, append([]document.Collection{}, got...)); diff != "" {
			t.Errorf("%s: collections (-want +got):\n%s", when, diff)
		}
	}
	ensure(t, as(t, Other), s, "theirs")
	check("none of ours")
	b, a, c := ensure(t, ctx, s, "b"), ensure(t, ctx, s, "a"), ensure(t, ctx, s, "c")
	want = append(want, a, b, c)
	check("three")
	change(t, ctx, s, anotherModel(b), leaseTime)
	want[1] = live(t, ctx, s, b)
	check("one was rebuilt")
}

// dropSpaces drops the spaces whose time is over, and says how many.
func dropSpaces(t *testing.T, ctx context.Context, s Store) int {
	t.Helper()
	spaces := listed(t, ctx, s, document.GarbageSpace, 0)
	for _, g := range spaces {
		collectEntry(t, ctx, s, g, 0)
	}
	return len(spaces)
}

func dropsSpacesThatWereLeft(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "c")
	a := publishTexts(t, ctx, s, c, "a", "one", "two")
	publishTexts(t, ctx, s, ensure(t, ctx, s, "kept"), "a", "three")
	all := passagesIn(c.Space, "one", "two", "three")
	done := change(t, ctx, s, anotherModel(c), 0)
	wantEmbedded(t, ctx, s, c.Space, all, all...)
	if got := dropSpaces(t, ctx, s); got == 0 {
		t.Error("nothing was dropped")
	}
	wantEmbedded(t, ctx, s, c.Space, all, all[2])
	wantStored(t, ctx, s, "dropped", c.Space, a)
	wantAlso(t, ctx, s, "dropped", c)
	wantFound(t, ctx, s, "dropped", c, "one", "two")
	wantRefused(t, ctx, s, "dropped", done.ID, "revert")
	if diff := cmp.Diff([]document.Reindex{done}, listAll(t, 10, func(page document.Page) (document.List[document.Reindex], error) {
		return s.Reindexes(ctx, document.ReindexFilter{}, page)
	})); diff != "" {
		t.Errorf("reindexes (-before +after):\n%s", diff)
	}

	// What goes back finds nothing, and builds it again.
	back := startReindex(t, ctx, s, document.ReindexRequest{Collection: c.Name, Model: c.Space.Model})
	if back.Space.ID == c.Space.ID || back.Space.Model != c.Space.Model {
		t.Errorf("got space %+v, want one like %+v", back.Space, c.Space)
	}
	wantUnplaced(t, ctx, s, "back", back, a)
	fill(t, ctx, s, back)
	finish(t, ctx, s, back, leaseTime)
	wantFound(t, ctx, s, "back", c, "one", "two")
	if err := s.DeleteDocument(ctx, a.Document); err != nil {
		t.Fatal(err)
	}
	collectVersion(t, ctx, s, a.Document, a.Version)
}

func dropsSpacesOfCancelledReindexes(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "c")
	publishTexts(t, ctx, s, c, "a", "one", "two")
	work := startReindex(t, ctx, s, anotherModel(c))
	fill(t, ctx, s, work)
	upload := begin(t, ctx, s, c, "b") // which has the space in mind
	progress := document.KnowledgeProgress{Passages: 1}
	write(t, ctx, s, upload, batchOf(0, passagesIn(c.Space, "three")...), progress)
	cancelReindex(t, ctx, s, work.Job, 0)
	dropSpaces(t, ctx, s)
	wantEmbedded(t, ctx, s, work.Space, passagesIn(work.Space, "one", "two"))

	// What was to be written to it besides fails, and nothing else does.
	if err := s.Write(ctx, in(work.Space, upload), batchOf(0, passagesIn(work.Space, "three")...), progress); err == nil {
		t.Error("wrote to a space that was dropped")
	}
	if err := s.Publish(ctx, upload, nil, progress); err != nil {
		t.Fatal(err)
	}
	wantFound(t, ctx, s, "dropped", c, "one", "three", "two")
	change(t, ctx, s, anotherModel(c), leaseTime)
	wantFound(t, ctx, s, "another attempt", c, "one", "three", "two")
}

func dropsSpacesThatWereRevertedFrom(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "c")
	publishTexts(t, ctx, s, c, "a", "one")
	done := change(t, ctx, s, anotherModel(c), leaseTime)
	next := live(t, ctx, s, c).Space
	if got := dropSpaces(t, ctx, s); got != 0 {
		t.Errorf("while it may be reverted: dropped %d", got)
	}
	revertReindex(t, ctx, s, done.ID, 0)
	if got := dropSpaces(t, ctx, s); got == 0 {
		t.Error("nothing was dropped")
	}
	wantEmbedded(t, ctx, s, next, passagesIn(next, "one"))
	wantFound(t, ctx, s, "dropped", c, "one")

	// Once more, the other way: it has to catch up first.
	done = change(t, ctx, s, anotherModel(c), leaseTime)
	publishTexts(t, ctx, s, c, "b", "two")
	revertReindex(t, ctx, s, done.ID, 0)
	if got := dropSpaces(t, ctx, s); got != 0 {
		t.Errorf("while it reverts: dropped %d", got)
	}
	work := claimReindex(t, ctx, s, done.ID)
	fill(t, ctx, s, work)
	finish(t, ctx, s, work, 0)
	if got := dropSpaces(t, ctx, s); got == 0 {
		t.Error("nothing was dropped once it had caught up")
	}
	wantFound(t, ctx, s, "dropped again", c, "one", "two")
	publishTexts(t, ctx, s, c, "c", "three")
	wantFound(t, ctx, s, "and uploaded", c, "one", "three", "two")
}

func dropsNothingInUse(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "c")
	publishTexts(t, ctx, s, c, "a", "one")
	work := startReindex(t, ctx, s, anotherModel(c))
	fill(t, ctx, s, work)
	nothing := func(when string) {
		t.Helper()
		if got := dropSpaces(t, ctx, s); got != 0 {
			t.Errorf("%s: dropped %d", when, got)
		}
		wantEmbedded(t, ctx, s, work.Space, passagesIn(work.Space, "one"), passagesIn(work.Space, "one")...)
	}
	nothing("it is running")
	steerReindex(t, ctx, s, s.PauseReindex, work.Job)
	nothing("it is paused")
	cancelReindex(t, ctx, s, work.Job, leaseTime)
	nothing("it was cancelled, and is kept")

	work = startReindex(t, ctx, s, anotherModel(c))
	nothing("it is running again")
	settle(t, ctx, s, work, document.Outcome{Verdict: document.VerdictFail, Error: "broken"})
	nothing("it failed")
	steerReindex(t, ctx, s, s.ResumeReindex, work.Job)
	nothing("it was resumed")
	finish(t, ctx, s, claimReindex(t, ctx, s, work.Job), leaseTime)
	nothing("it is live")

	// Its time would be over, had it not been taken back in time or built anew.
	back := startReindex(t, ctx, s, document.ReindexRequest{Collection: c.Name, Model: c.Space.Model})
	finish(t, ctx, s, back, 0)
	again := startReindex(t, ctx, s, anotherModel(c))
	dropSpaces(t, ctx, s)
	fill(t, ctx, s, again)
	finish(t, ctx, s, again, leaseTime)
	nothing("it is live again")
	wantFound(t, ctx, s, "live again", c, "one")
}

// While it was failed, another reindex took its space over and was cancelled.
// Resuming it is refused, or begins from nothing.
func resumesWithoutTheSpace(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "c")
	publishTexts(t, ctx, s, c, "a", "one")
	failed := startReindex(t, ctx, s, anotherModel(c))
	fill(t, ctx, s, failed)
	if err := s.SetStage(ctx, failed, document.StageVerify, document.ReindexProgress{Documents: 1, DocumentsDone: 1}); err != nil {
		t.Fatal(err)
	}
	settle(t, ctx, s, failed, document.Outcome{Verdict: document.VerdictFail, Error: "broken"})
	cancelReindex(t, ctx, s, beginReindex(t, ctx, s, anotherModel(c)).ID, 0)
	dropSpaces(t, ctx, s)
	got, err := s.ResumeReindex(ctx, failed.Job)
	if err != nil {
		wantFault(t, err, fault.Conflict)
		return
	}
	if got.Stage != document.StageDocuments || !cmp.Equal(got.Progress, document.ReindexProgress{}) {
		t.Errorf("resumed: got %+v, want nothing done yet", got)
	}
	publishEverywhere(t, ctx, s, accept(t, ctx, s, uploadOf(c, "b")).Job, "two")
	work := claimReindex(t, ctx, s, failed.Job)
	fill(t, ctx, s, work)
	finish(t, ctx, s, work, leaseTime)
	wantFound(t, ctx, s, "switched", c, "one", "two")
}

func dropsAtMostSoMuch(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "c")
	for i := range 4 {
		publishTexts(t, ctx, s, c, fmt.Sprint(i), "one", "two", "three")
	}
	change(t, ctx, s, anotherModel(c), 0)
	spaces := listed(t, ctx, s, document.GarbageSpace, 0)
	if len(spaces) != 1 {
		t.Fatalf("got %+v to be dropped, want one space", spaces)
	}
	calls := 0
	for more := true; more && calls < 100; calls++ {
		var err error
		if more, err = s.Collect(ctx, spaces[0], 0, 3); err != nil {
			t.Fatal(err)
		}
		wantFound(t, ctx, s, "meanwhile", c, "one", "three", "two")
	}
	if calls < 4 || calls == 100 { // there are 12 places and 4 placements
		t.Errorf("took %d calls with a limit of 3", calls)
	}
	wantEmbedded(t, ctx, s, c.Space, passagesIn(c.Space, "one", "two", "three"))
}

// grown returns the spaces that want something, of whatever care.
func grown(t *testing.T, ctx context.Context, s Store, threshold int) (spaces []document.Space) {
	t.Helper()
	for _, care := range []document.SpaceCare{document.CareMove, document.CareIndex} {
		for after, first := int64(0), true; first || after > 0; first = false {
			some, last, err := s.GrownAfter(ctx, care, threshold, after, 3)
			if err != nil {
				t.Fatal(err)
			}
			spaces, after = append(spaces, some...), last
		}
	}
	return spaces
}

// A store may have such indexes or not: what is found is the same.
func indexesSpaces(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "c")
	publishTexts(t, ctx, s, c, "a", "one", "two", "three")
	ensure(t, ctx, s, "empty")
	unindexed := func(when string, threshold, most int) []document.Space {
		t.Helper()
		got := grown(t, ctx, s, threshold)
		if len(got) > most {
			t.Errorf("%s: got spaces %+v without an index, want at most %d", when, got, most)
		}
		return got
	}
	unindexed("too few passages", 4, 0)
	if err := s.IndexSpace(ctx, c.Space, 4); err != nil {
		t.Fatal(err)
	}
	if got := live(t, ctx, s, c); got.Space.Indexed {
		t.Errorf("with too few passages: got %+v, want it not indexed", got.Space)
	}
	found := unindexed("enough passages", 3, 1)
	for range 2 {
		if err := s.IndexSpace(ctx, c.Space, 3); err != nil {
			t.Fatal(err)
		}
		got := live(t, ctx, s, c)
		if got.Space.Indexed != (len(found) > 0) {
			t.Errorf("got %+v of a store with %d spaces to be indexed", got.Space, len(found))
		}
		for _, space := range found {
			if space.ID != c.Space.ID || space.Model != c.Space.Model {
				t.Errorf("got %+v to be indexed, want %+v", space, c.Space)
			}
		}
	}
	unindexed("indexed", 3, 0)
	wantFound(t, ctx, s, "indexed", c, "one", "three", "two")
	publishTexts(t, ctx, s, c, "a", "four", "two")
	wantFound(t, ctx, s, "indexed, and uploaded to", c, "four", "two")
	if job := claim(t, ctx, s, accept(t, ctx, s, uploadOf(c, "b")).Job, document.Knowledge); job.Space.Indexed != (len(found) > 0) {
		t.Errorf("space of an upload: got %+v", job.Space)
	}

	work := startReindex(t, ctx, s, anotherModel(c))
	fill(t, ctx, s, work)
	if err := s.IndexSpace(ctx, work.Space, 1); err != nil {
		t.Fatal(err)
	}
	r := finish(t, ctx, s, work, 0)
	wantFound(t, ctx, s, "switched to an index", c, "four", "two")
	if r.State != document.Succeeded {
		t.Errorf("reindex: got %+v", r)
	}
	dropSpaces(t, ctx, s)
	wantFound(t, ctx, s, "the indexed space is dropped", c, "four", "two")
	unindexed("and nothing of it is left", 1, 0)
}
