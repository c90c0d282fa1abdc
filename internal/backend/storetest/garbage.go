package storetest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/garbage"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// farFuture is longer than anything is kept.
const farFuture = 1000 * time.Hour

// A test collects all that there is of a tenant, so each has its own store.
func testGarbage(t *testing.T, open func(t *testing.T) Store) {
	for name, test := range map[string]func(*testing.T, context.Context, Store){
		"Superseded":            collectsSupersededVersions,
		"Superseded unfinished": keepsVersionsWhoseJobHasNotEnded,
		"Superseded requeued":   collectsVersionsThatWereRequeued,
		"Deleted":               collectsDeletedDocuments,
		"Deleted in parts":      collectsVersionsInParts,
		"Needed":                keepsVersionsThatAreNeeded,
		"Shared object":         keepsSharedObjects,
		"Published object":      keepsTheObjectOfThePublishedVersion,
		"Postponed":             postpones,
		"Order":                 listsWhatIsDueFirst,
		"Passages":              collectsOrphansOnly,
		"Passages placed again": keepsPassagesThatMayBePlacedAgain,
		"Passages copied":       collectsCopiesThatWereNotPlaced,
		"Passages paid for":     keepsPassagesThatAnAttemptPaidFor,
		"Passages concurrently": keepsPassagesThatAreBeingPlaced,
		"Search":                searchesForWhatIsNotListed,
		"Search listed":         searchesOnce,
	} {
		t.Run(name, func(t *testing.T) { test(t, tenantContext(t, tenant.Default), open(t)) })
	}
}

// garbageOf returns the entries of a kind that are due ahead of time.
func garbageOf(t *testing.T, ctx context.Context, s Store, kind garbage.Kind, ahead time.Duration) []garbage.Entry {
	t.Helper()
	all, err := s.Garbage(ctx, ahead, 10000)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(g garbage.Entry) bool { return g.Kind != kind })
}

// collectEntry collects an entry to its end, few rows at a time, and says in how
// many calls. What cannot be removed yet stays.
func collectEntry(t *testing.T, ctx context.Context, s Store, g garbage.Entry, ahead time.Duration) (calls int) {
	t.Helper()
	for calls = 1; calls < 1000; calls++ {
		more, err := s.CollectGarbage(ctx, g, ahead, 2)
		if fault.Is(err, fault.Conflict) {
			return calls
		}
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			return calls
		}
	}
	t.Fatalf("collecting %s does not end", g)
	return 0
}

// collectVersions collects all versions that are listed.
func collectVersions(t *testing.T, ctx context.Context, s Store) {
	t.Helper()
	for _, g := range garbageOf(t, ctx, s, garbage.KindVersion, farFuture) {
		collectEntry(t, ctx, s, g, farFuture)
	}
}

// collectVersion collects a version that is superseded or whose document is
// deleted. What its job has not begun is cancelled on the way.
func collectVersion(t *testing.T, ctx context.Context, s Store, id uuid.UUID, version int) {
	t.Helper()
	for _, kind := range task.JobKinds {
		ref := taskRefOf(t, ctx, document.Job{DocumentID: id, Version: version}, kind)
		if _, err := s.Claim(ctx, ref, leaseTime); err == nil {
			t.Fatalf("%s was not superseded: it was claimed", ref)
		}
	}
	for _, g := range garbageOf(t, ctx, s, garbage.KindVersion, farFuture) {
		if g.DocumentID == id && g.Version == version {
			collectEntry(t, ctx, s, g, farFuture)
		}
	}
}

// collectPassages collects all passages that are listed and stand nowhere.
func collectPassages(t *testing.T, ctx context.Context, s Store) {
	t.Helper()
	for _, g := range garbageOf(t, ctx, s, garbage.KindPassages, farFuture) {
		collectEntry(t, ctx, s, g, farFuture)
	}
}

// wantObjects checks which objects are listed.
func wantObjects(t *testing.T, ctx context.Context, s Store, when string, want ...string) {
	t.Helper()
	var got []string
	for _, g := range garbageOf(t, ctx, s, garbage.KindObject, 0) {
		got = append(got, g.Object)
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s: objects that are listed (-want +got):\n%s", when, diff)
	}
}

// unlistObjects does what the sweep does once objects are deleted.
func unlistObjects(t *testing.T, ctx context.Context, s Store) {
	t.Helper()
	if err := s.DeleteGarbageEntries(ctx, garbageOf(t, ctx, s, garbage.KindObject, farFuture)...); err != nil {
		t.Fatal(err)
	}
}

// An entry that was postponed is due again later, with one try more, and stands
// in the way of no other.
func postpones(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "c")
	for i := range 2 {
		if err := s.DeleteDocument(ctx, acceptUpload(t, ctx, s, uploadOf(c, fmt.Sprint(i))).Document.ID); err != nil {
			t.Fatal(err)
		}
	}
	all := garbageOf(t, ctx, s, garbage.KindVersion, 0)
	if len(all) != 2 {
		t.Fatalf("got %d entries, want 2", len(all))
	}
	if err := s.PostponeGarbage(ctx, all[0], time.Hour); err != nil {
		t.Fatal(err)
	}
	if now := garbageOf(t, ctx, s, garbage.KindVersion, 0); len(now) != 1 || now[0].ID != all[1].ID {
		t.Errorf("one is postponed: got %+v, want the other", now)
	}
	again := garbageOf(t, ctx, s, garbage.KindVersion, 2*time.Hour)
	want := all[0]
	want.Tries = 1
	if diff := cmp.Diff([]garbage.Entry{all[1], want}, again); diff != "" {
		t.Errorf("two hours later (-want +got):\n%s", diff)
	}
}

func listsWhatIsDueFirst(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "c")
	const n = 5
	var want []uuid.UUID
	for i := range n {
		id := acceptUpload(t, ctx, s, uploadOf(c, fmt.Sprint(i))).Document.ID
		if err := s.DeleteDocument(ctx, id); err != nil {
			t.Fatal(err)
		}
		want = append(want, id)
	}
	due, err := s.Garbage(ctx, farFuture, 100)
	if err != nil {
		t.Fatal(err)
	}
	due = slices.DeleteFunc(due, func(g garbage.Entry) bool { return g.Kind == garbage.KindScan })
	if len(due) != n {
		t.Fatalf("got %d entries, want %d", len(due), n)
	}
	first, err := s.Garbage(ctx, farFuture, 2)
	if err != nil || len(first) != 2 {
		t.Errorf("with a limit of 2: got %d, %v", len(first), err)
	}
	for i, g := range due {
		if g.DocumentID != want[i] {
			t.Errorf("entry %d is of document %s, want %s", i, g.DocumentID, want[i])
		}
	}
}

// CollectAll does what the sweep does until nothing is listed, as if much time had
// passed, and returns the objects that it would delete.
func CollectAll(t *testing.T, ctx context.Context, s Store) (objects []string) {
	t.Helper()
	if _, err := s.ExpireUploads(ctx, time.Hour, 1000); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		all, err := s.Garbage(ctx, farFuture, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range all {
			switch g.Kind {
			case garbage.KindScan:
				searchForGarbage(t, ctx, s, 2)
				err = s.DeleteGarbageEntries(ctx, g)
			case garbage.KindObject:
				objects = append(objects, g.Object)
				err = s.DeleteGarbageEntries(ctx, g)
			default:
				collectEntry(t, ctx, s, g, farFuture)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if len(all) == 0 {
			return objects
		}
	}
	t.Fatal("collecting does not end")
	return nil
}

// searchForGarbage runs a search to its end, limit rows at a time.
func searchForGarbage(t *testing.T, ctx context.Context, s Store, limit int) (found garbage.ScanCounts) {
	t.Helper()
	var at garbage.ScanCursor
	for range 1000 {
		if at.Stage == garbage.ScanEnded {
			return found
		}
		next, part, err := s.ScanForGarbage(ctx, at, limit)
		if err != nil {
			t.Fatal(err)
		}
		at = next
		found.Add(part)
	}
	t.Fatalf("the search does not end: it is at %+v", at)
	return found
}

// Whatever entries are lost, a search lists what they named.
func searchesForWhatIsNotListed(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "c")
	superseded := publishDocument(t, ctx, s, uploadOf(c, "superseded"), passageOf("old", 1, 0, 0), passageOf("older", 1, 0, 0))
	publishDocument(t, ctx, s, uploadOf(c, "superseded"), passageOf("kept", 1, 0, 0))
	deleted := publishDocument(t, ctx, s, uploadOf(c, "deleted"), passageOf("gone", 1, 0, 0), passageOf("kept", 1, 0, 0))
	work := summarisedDocument(t, ctx, s, "summarised", nodesOf("a", "b", "c")...)
	for _, id := range []uuid.UUID{deleted.Document.ID, work.DocumentID} {
		if err := s.DeleteDocument(ctx, id); err != nil {
			t.Fatal(err)
		}
	}
	lose := func(when string) {
		t.Helper()
		if found := searchForGarbage(t, ctx, s, 2); found != (garbage.ScanCounts{}) {
			t.Errorf("%s: found %s, and all is listed", when, found)
		}
		all, err := s.Garbage(ctx, farFuture, 1000)
		if err == nil {
			err = s.DeleteGarbageEntries(ctx, all...)
		}
		if err != nil || len(all) == 0 {
			t.Fatalf("%s: unlisted %d entries: %v", when, len(all), err)
		}
	}
	lose("versions")
	if found, want := searchForGarbage(t, ctx, s, 2), (garbage.ScanCounts{Versions: 3}); found != want {
		t.Errorf("found %s, want %s", found, want)
	}
	collectVersions(t, ctx, s)
	for _, job := range []document.Job{superseded.Job, deleted.Job} {
		_, err := s.Job(ctx, job.ID)
		wantFault(t, err, fault.NotFound)
	}
	lose("passages")
	passages := []vector.EmbeddedPassage{passageOf("old"), passageOf("older"), passageOf("gone"), passageOf("kept"), passageOf("summarised")}
	if found, want := searchForGarbage(t, ctx, s, 2), (garbage.ScanCounts{Passages: 4}); found != want {
		t.Errorf("found %s, want %s", found, want)
	}
	collectPassages(t, ctx, s)
	wantKnown(t, ctx, s, c.ActiveSpace, hashesOf(passages...), passageOf("kept"))

	runReindex(t, ctx, s, changeModelRequest(c), 0)
	lose("spaces")
	if found, want := searchForGarbage(t, ctx, s, 2), (garbage.ScanCounts{Spaces: 1}); found != want {
		t.Errorf("found %s, want %s", found, want)
	}
	if collectSpaces(t, ctx, s) == 0 {
		t.Error("the space is not dropped")
	}
}

// A search is listed once, goes on where it was, and is gone at its end.
func searchesOnce(t *testing.T, ctx context.Context, s Store) {
	if err := s.DeleteGarbageEntries(ctx, garbageOf(t, ctx, s, garbage.KindScan, 0)...); err != nil { // of the migration
		t.Fatal(err)
	}
	for range 2 {
		if err := s.ScheduleGarbageScan(ctx); err != nil {
			t.Fatal(err)
		}
	}
	all := garbageOf(t, ctx, s, garbage.KindScan, 0)
	if len(all) != 1 || all[0].ScanCursor.Stage != garbage.ScanVersions {
		t.Fatalf("got searches %+v, want one at its beginning", all)
	}
	g := all[0]
	g.ScanCursor = garbage.ScanCursor{Stage: garbage.ScanPassages, SpaceID: 7, Hash: []byte{1, 2}, DocumentID: uuid.New(), Version: 3}
	if err := s.PostponeGarbage(ctx, g, 0); err != nil {
		t.Fatal(err)
	}
	all = garbageOf(t, ctx, s, garbage.KindScan, 0)
	g.Tries++
	if diff := cmp.Diff([]garbage.Entry{g}, all); diff != "" {
		t.Errorf("where the search is (-want +got):\n%s", diff)
	}
}
