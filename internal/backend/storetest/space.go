package storetest

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/garbage"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// What is dropped and indexed is all that there is of a tenant, so each test
// has its own store.
func spaces(t *testing.T, open func(t *testing.T) Store) {
	for name, test := range map[string]func(*testing.T, context.Context, Store){
		"Collections":         listsCollections,
		"Drop left":           collectsRetiredSpaces,
		"Drop cancelled":      collectsSpacesOfCancelledReindexes,
		"Drop reverted":       collectsSpacesThatWereRevertedFrom,
		"Drop nothing":        collectsNoSpaceInUse,
		"Drop and resume":     resumesWithoutTheSpace,
		"Drop and publish":    publishesWithoutTheSpace,
		"Drop and begin":      makesNoSpaceLikeADroppedOne,
		"Drop in parts":       collectsUpToItsLimit,
		"Orphans being built": keepsOrphansOfASpaceBeingBuilt,
		"Orphans unwritten":   keepsOrphansOfAKeptSpace,
		"Orphans waiting":     keepsOrphansWhileTheCollectionIsWrittenTo,
		"Index":               indexesSpaces,
		"Index meanwhile":     indexesWhileDocumentsChange,
		"All at once":         rebuildsWhileDocumentsChange,
	} {
		t.Run(name, func(t *testing.T) { test(t, tenantContext(t, tenant.Default), open(t)) })
	}
}

func listsCollections(t *testing.T, ctx context.Context, s Store) {
	want := []vector.Collection{}
	check := func(when string) {
		t.Helper()
		got, err := s.AllCollections(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, append([]vector.Collection{}, got...)); diff != "" {
			t.Errorf("%s: collections (-want +got):\n%s", when, diff)
		}
	}
	ensureCollection(t, tenantContext(t, OtherTenant), s, "theirs")
	check("none of ours")
	b, a, c := ensureCollection(t, ctx, s, "b"), ensureCollection(t, ctx, s, "a"), ensureCollection(t, ctx, s, "c")
	want = append(want, a, b, c)
	check("three")
	runReindex(t, ctx, s, changeModelRequest(b), leaseTime)
	want[1] = readCollection(t, ctx, s, b)
	check("one was rebuilt")
}

// collectSpaces drops the spaces whose time is over, and says how many.
func collectSpaces(t *testing.T, ctx context.Context, s Store) int {
	t.Helper()
	spaces := garbageOf(t, ctx, s, garbage.KindSpace, 0)
	for _, g := range spaces {
		collectEntry(t, ctx, s, g, 0)
	}
	return len(spaces)
}

func collectsRetiredSpaces(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "c")
	a := publishTexts(t, ctx, s, c, "a", "one", "two")
	publishTexts(t, ctx, s, ensureCollection(t, ctx, s, "kept"), "a", "three")
	all := passagesIn(c.ActiveSpace, "one", "two", "three")
	done := runReindex(t, ctx, s, changeModelRequest(c), 0)
	wantReusable(t, ctx, s, c.ActiveSpace, all, all...)
	if got := collectSpaces(t, ctx, s); got == 0 {
		t.Error("nothing was dropped")
	}
	wantReusable(t, ctx, s, c.ActiveSpace, all, all[2])
	wantVersionTexts(t, ctx, s, "dropped", c.ActiveSpace, a)
	wantOtherSpaces(t, ctx, s, "dropped", c)
	wantHits(t, ctx, s, "dropped", c, "one", "two")
	wantRefused(t, ctx, s, "dropped", done.ID, "revert")
	if diff := cmp.Diff([]document.Reindex{done}, listAll(t, 10, func(page document.Page) (document.List[document.Reindex], error) {
		return s.Reindexes(ctx, document.ReindexFilter{}, page)
	})); diff != "" {
		t.Errorf("reindexes (-before +after):\n%s", diff)
	}

	// What goes back finds nothing, and builds it again.
	back := startReindex(t, ctx, s, document.ReindexRequest{Collection: c.Name, Model: c.ActiveSpace.Model})
	if back.Space.ID == c.ActiveSpace.ID || back.Space.Model != c.ActiveSpace.Model {
		t.Errorf("got space %+v, want one like %+v", back.Space, c.ActiveSpace)
	}
	wantMissing(t, ctx, s, "back", back, a)
	writeMissing(t, ctx, s, back)
	activateSpace(t, ctx, s, back, leaseTime)
	wantHits(t, ctx, s, "back", c, "one", "two")
	if err := s.DeleteDocument(ctx, a.DocumentID); err != nil {
		t.Fatal(err)
	}
	collectVersion(t, ctx, s, a.DocumentID, a.Version)
}

func collectsSpacesOfCancelledReindexes(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "c")
	publishTexts(t, ctx, s, c, "a", "one", "two")
	work := startReindex(t, ctx, s, changeModelRequest(c))
	writeMissing(t, ctx, s, work)
	upload := beginKnowledge(t, ctx, s, c, "b") // which has the space in mind
	progress := document.KnowledgeProgress{Passages: 1}
	writeBatch(t, ctx, s, upload, batchOf(0, passagesIn(c.ActiveSpace, "three")...), progress)
	cancelReindex(t, ctx, s, work.JobID, 0)
	collectSpaces(t, ctx, s)
	wantReusable(t, ctx, s, work.Space, passagesIn(work.Space, "one", "two"))

	// What was to be written to it besides fails, and nothing else does.
	if err := s.WriteBatch(ctx, withSpace(work.Space, upload), batchOf(0, passagesIn(work.Space, "three")...), progress); err == nil {
		t.Error("wrote to a space that was dropped")
	}
	if err := s.Publish(ctx, upload, nil, progress); err != nil {
		t.Fatal(err)
	}
	wantHits(t, ctx, s, "dropped", c, "one", "three", "two")
	runReindex(t, ctx, s, changeModelRequest(c), leaseTime)
	wantHits(t, ctx, s, "another attempt", c, "one", "three", "two")
}

func collectsSpacesThatWereRevertedFrom(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "c")
	publishTexts(t, ctx, s, c, "a", "one")
	done := runReindex(t, ctx, s, changeModelRequest(c), leaseTime)
	next := readCollection(t, ctx, s, c).ActiveSpace
	if got := collectSpaces(t, ctx, s); got != 0 {
		t.Errorf("while it may be reverted: dropped %d", got)
	}
	revertReindex(t, ctx, s, done.ID, 0)
	if got := collectSpaces(t, ctx, s); got == 0 {
		t.Error("nothing was dropped")
	}
	wantReusable(t, ctx, s, next, passagesIn(next, "one"))
	wantHits(t, ctx, s, "dropped", c, "one")

	// Once more, the other way: it has to catch up first.
	done = runReindex(t, ctx, s, changeModelRequest(c), leaseTime)
	publishTexts(t, ctx, s, c, "b", "two")
	revertReindex(t, ctx, s, done.ID, 0)
	if got := collectSpaces(t, ctx, s); got != 0 {
		t.Errorf("while it reverts: dropped %d", got)
	}
	work := claimReindex(t, ctx, s, done.ID)
	writeMissing(t, ctx, s, work)
	activateSpace(t, ctx, s, work, 0)
	if got := collectSpaces(t, ctx, s); got == 0 {
		t.Error("nothing was dropped once it had caught up")
	}
	wantHits(t, ctx, s, "dropped again", c, "one", "two")
	publishTexts(t, ctx, s, c, "c", "three")
	wantHits(t, ctx, s, "and uploaded", c, "one", "three", "two")
}

func collectsNoSpaceInUse(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "c")
	publishTexts(t, ctx, s, c, "a", "one")
	work := startReindex(t, ctx, s, changeModelRequest(c))
	writeMissing(t, ctx, s, work)
	nothing := func(when string) {
		t.Helper()
		if got := collectSpaces(t, ctx, s); got != 0 {
			t.Errorf("%s: dropped %d", when, got)
		}
		wantReusable(t, ctx, s, work.Space, passagesIn(work.Space, "one"), passagesIn(work.Space, "one")...)
	}
	nothing("it is running")
	controlReindex(t, ctx, s, s.PauseReindex, work.JobID)
	nothing("it is paused")
	cancelReindex(t, ctx, s, work.JobID, leaseTime)
	nothing("it was cancelled, and is kept")

	work = startReindex(t, ctx, s, changeModelRequest(c))
	nothing("it is running again")
	recordOutcome(t, ctx, s, work, task.Outcome{Verdict: task.VerdictFail, Error: "broken"})
	nothing("it failed")
	controlReindex(t, ctx, s, s.ResumeReindex, work.JobID)
	nothing("it was resumed")
	activateSpace(t, ctx, s, claimReindex(t, ctx, s, work.JobID), leaseTime)
	nothing("it is live")

	// Its time would be over, had it not been taken back in time or built anew.
	back := startReindex(t, ctx, s, document.ReindexRequest{Collection: c.Name, Model: c.ActiveSpace.Model})
	activateSpace(t, ctx, s, back, 0)
	again := startReindex(t, ctx, s, changeModelRequest(c))
	collectSpaces(t, ctx, s)
	writeMissing(t, ctx, s, again)
	activateSpace(t, ctx, s, again, leaseTime)
	nothing("it is live again")
	wantHits(t, ctx, s, "live again", c, "one")
}

// While it was failed, another reindex took its space over and was cancelled.
// Resuming it is refused, or begins from nothing.
func resumesWithoutTheSpace(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "c")
	publishTexts(t, ctx, s, c, "a", "one")
	failed := startReindex(t, ctx, s, changeModelRequest(c))
	writeMissing(t, ctx, s, failed)
	if err := s.SetReindexStage(ctx, failed, document.StageVerify, document.ReindexProgress{Documents: 1, DocumentsDone: 1}); err != nil {
		t.Fatal(err)
	}
	recordOutcome(t, ctx, s, failed, task.Outcome{Verdict: task.VerdictFail, Error: "broken"})
	cancelReindex(t, ctx, s, beginReindex(t, ctx, s, changeModelRequest(c)).ID, 0)
	collectSpaces(t, ctx, s)
	got, err := s.ResumeReindex(ctx, failed.JobID)
	if err != nil {
		wantFault(t, err, fault.Conflict)
		return
	}
	if got.Stage != document.StageDocuments || !cmp.Equal(got.Progress, document.ReindexProgress{}) {
		t.Errorf("resumed: got %+v, want nothing done yet", got)
	}
	publishEverywhere(t, ctx, s, acceptUpload(t, ctx, s, uploadOf(c, "b")).Job, "two")
	work := claimReindex(t, ctx, s, failed.JobID)
	writeMissing(t, ctx, s, work)
	activateSpace(t, ctx, s, work, leaseTime)
	wantHits(t, ctx, s, "switched", c, "one", "two")
}

func collectsUpToItsLimit(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "c")
	for i := range 4 {
		publishTexts(t, ctx, s, c, fmt.Sprint(i), "one", "two", "three")
	}
	runReindex(t, ctx, s, changeModelRequest(c), 0)
	spaces := garbageOf(t, ctx, s, garbage.KindSpace, 0)
	if len(spaces) != 1 {
		t.Fatalf("got %+v to be dropped, want one space", spaces)
	}
	calls := 0
	for more := true; more && calls < 100; calls++ {
		var err error
		if more, err = s.CollectGarbage(ctx, spaces[0], 0, 3); err != nil {
			t.Fatal(err)
		}
		wantHits(t, ctx, s, "meanwhile", c, "one", "three", "two")
	}
	if calls < 4 || calls == 100 { // there are 12 places and 4 space versions
		t.Errorf("took %d calls with a limit of 3", calls)
	}
	wantReusable(t, ctx, s, c.ActiveSpace, passagesIn(c.ActiveSpace, "one", "two", "three"))
}

// grownSpaces returns the spaces that want something, of whatever care.
func grownSpaces(t *testing.T, ctx context.Context, s Store, threshold int) (spaces []vector.Space) {
	t.Helper()
	for _, care := range []vector.Maintenance{vector.MaintenanceMove, vector.MaintenanceIndex} {
		for after, first := int64(0), true; first || after > 0; first = false {
			some, last, err := s.GrownSpacesAfter(ctx, care, threshold, after, 3)
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
	c := ensureCollection(t, ctx, s, "c")
	publishTexts(t, ctx, s, c, "a", "one", "two", "three")
	ensureCollection(t, ctx, s, "empty")
	unindexed := func(when string, threshold, most int) []vector.Space {
		t.Helper()
		got := grownSpaces(t, ctx, s, threshold)
		if len(got) > most {
			t.Errorf("%s: got spaces %+v without an index, want at most %d", when, got, most)
		}
		return got
	}
	unindexed("too few passages", 4, 0)
	if err := s.IndexSpace(ctx, c.ActiveSpace, 4); err != nil {
		t.Fatal(err)
	}
	if got := readCollection(t, ctx, s, c); got.ActiveSpace.Indexed {
		t.Errorf("with too few passages: got %+v, want it not indexed", got.ActiveSpace)
	}
	found := unindexed("enough passages", 3, 1)
	for range 2 {
		if err := s.IndexSpace(ctx, c.ActiveSpace, 3); err != nil {
			t.Fatal(err)
		}
		got := readCollection(t, ctx, s, c)
		if got.ActiveSpace.Indexed != (len(found) > 0) {
			t.Errorf("got %+v of a store with %d spaces to be indexed", got.ActiveSpace, len(found))
		}
		for _, space := range found {
			if space.ID != c.ActiveSpace.ID || space.Model != c.ActiveSpace.Model {
				t.Errorf("got %+v to be indexed, want %+v", space, c.ActiveSpace)
			}
		}
	}
	unindexed("indexed", 3, 0)
	wantHits(t, ctx, s, "indexed", c, "one", "three", "two")
	publishTexts(t, ctx, s, c, "a", "four", "two")
	wantHits(t, ctx, s, "indexed, and uploaded to", c, "four", "two")
	if job := claimTask(t, ctx, s, acceptUpload(t, ctx, s, uploadOf(c, "b")).Job, task.KindKnowledge); job.Space.Indexed != (len(found) > 0) {
		t.Errorf("space of an upload: got %+v", job.Space)
	}

	work := startReindex(t, ctx, s, changeModelRequest(c))
	writeMissing(t, ctx, s, work)
	if err := s.IndexSpace(ctx, work.Space, 1); err != nil {
		t.Fatal(err)
	}
	r := activateSpace(t, ctx, s, work, 0)
	wantHits(t, ctx, s, "switched to an index", c, "four", "two")
	if r.State != document.JobSucceeded {
		t.Errorf("reindex: got %+v", r)
	}
	collectSpaces(t, ctx, s)
	wantHits(t, ctx, s, "the indexed space is dropped", c, "four", "two")
	unindexed("and nothing of it is left", 1, 0)
}
