package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/garbage"
	"github.com/seed-7a112592/gristmill/internal/rebuild"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// wantJobs checks which jobs, and so which versions, are there.
func wantJobs(t *testing.T, ctx context.Context, s Store, when string, there map[int]document.Job, gone map[int]document.Job) {
	t.Helper()
	for version, job := range there {
		if _, err := s.Job(ctx, job.ID); err != nil {
			t.Errorf("%s: version %d: %v", when, version, err)
		}
	}
	for version, job := range gone {
		if _, err := s.Job(ctx, job.ID); !fault.Is(err, fault.NotFound) {
			t.Errorf("%s: version %d is there still: %v", when, version, err)
		}
	}
}

func collectsSupersededVersions(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "c")
	upload := uploadOf(c, "a")
	first := publishDocument(t, ctx, s, upload, passageOf("old", 1, 0, 0))
	if all := garbageOf(t, ctx, s, garbage.KindVersion, farFuture); len(all) > 0 {
		t.Errorf("one version: listed %+v", all)
	}
	second := acceptUpload(t, ctx, s, uploadOf(c, "a"))
	if all := garbageOf(t, ctx, s, garbage.KindVersion, farFuture); len(all) > 0 {
		t.Errorf("while the first version is published: listed %+v", all)
	}
	publishJob(t, ctx, s, second.Job, passageOf("new", 1, 0, 0))
	finishSummary(t, ctx, s, second.Job, "summary")
	if all := garbageOf(t, ctx, s, garbage.KindVersion, garbage.JobRetention-time.Minute); len(all) > 0 {
		t.Errorf("within an hour: listed %+v", all)
	}
	all := garbageOf(t, ctx, s, garbage.KindVersion, garbage.JobRetention+time.Minute)
	if len(all) != 1 || all[0].DocumentID != first.Document.ID || all[0].Version != 1 {
		t.Fatalf("after an hour: listed %+v, want version 1", all)
	}
	// Before its time it is put off, and not removed.
	collectEntry(t, ctx, s, all[0], 0)
	wantJobs(t, ctx, s, "before its time", map[int]document.Job{1: first.Job, 2: second.Job}, nil)
	collectEntry(t, ctx, s, all[0], farFuture)
	collectEntry(t, ctx, s, all[0], farFuture) // again is harmless
	wantJobs(t, ctx, s, "collected", map[int]document.Job{2: second.Job}, map[int]document.Job{1: first.Job})
	if got := listPassages(t, ctx, s, first.Document.ID, 10); len(got) != 1 || got[0].Content != "new" {
		t.Errorf("passages of the second version: got %v", got)
	}
	if d := readDocument(t, ctx, s, first.Document.ID); d.Version != 2 || d.State != document.DocumentReady {
		t.Errorf("document: got version %d, %s", d.Version, d.State)
	}
	wantObjects(t, ctx, s, "collected", upload.Object)
	if all := garbageOf(t, ctx, s, garbage.KindVersion, farFuture); len(all) > 0 {
		t.Errorf("collected: still listed %+v", all)
	}
}

// A job is followed to its end, and for an hour longer.
func keepsVersionsWhoseJobHasNotEnded(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "c")
	first := acceptUpload(t, ctx, s, uploadOf(c, "a"))
	work := claimTask(t, ctx, s, first.Job, task.KindKnowledge)
	second := acceptUpload(t, ctx, s, uploadOf(c, "a"))
	all := garbageOf(t, ctx, s, garbage.KindVersion, farFuture)
	if len(all) != 1 || all[0].Version != 1 {
		t.Fatalf("listed %+v, want version 1", all)
	}
	_, err := s.CollectGarbage(ctx, all[0], farFuture, 10)
	wantFault(t, err, fault.Conflict)
	wantJobs(t, ctx, s, "under way", map[int]document.Job{1: first.Job, 2: second.Job}, nil)

	// It may be published yet, and is superseded again then.
	progress := document.KnowledgeProgress{Passages: 1}
	writeBatch(t, ctx, s, work, batchOf(0, passageOf("one", 1, 0, 0)), progress)
	if err := s.Publish(ctx, work, nil, progress); err != nil {
		t.Fatal(err)
	}
	collectVersions(t, ctx, s)
	if all := garbageOf(t, ctx, s, garbage.KindVersion, farFuture); len(all) > 0 {
		t.Errorf("published: listed %+v", all)
	}
	publishJob(t, ctx, s, second.Job, passageOf("two", 1, 0, 0))
	finishSummary(t, ctx, s, second.Job, "summary")
	collectVersion(t, ctx, s, first.Document.ID, 1)
	wantJobs(t, ctx, s, "superseded again", map[int]document.Job{2: second.Job}, map[int]document.Job{1: first.Job})
}

func collectsVersionsThatWereRequeued(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "c")
	first := acceptUpload(t, ctx, s, uploadOf(c, "a"))
	failJob(t, ctx, s, first.Job)
	_, jobs := runRequeue(t, ctx, s, document.ReindexRequest{Collection: c.Name})
	if len(jobs) != 1 {
		t.Fatalf("got %d jobs, want 1", len(jobs))
	}
	collectVersions(t, ctx, s)
	wantJobs(t, ctx, s, "requeued", map[int]document.Job{2: jobs[0]}, map[int]document.Job{1: first.Job})
	wantObjects(t, ctx, s, "its object is shared")
}

func collectsDeletedDocuments(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "c")
	one, two := uploadOf(c, "a"), uploadOf(c, "a")
	first := publishDocument(t, ctx, s, one, passageOf("gone", 1, 0, 0))
	id := first.Document.ID
	second := acceptUpload(t, ctx, s, two)
	claimTask(t, ctx, s, second.Job, task.KindKnowledge)
	kept := publishDocument(t, ctx, s, uploadOf(c, "b"), passageOf("kept", 1, 0, 0))
	if err := s.DeleteDocument(ctx, id); err != nil {
		t.Fatal(err)
	}
	all := garbageOf(t, ctx, s, garbage.KindVersion, 0)
	if len(all) != 2 {
		t.Fatalf("listed %+v, want both versions at once", all)
	}
	for i, g := range all {
		collectEntry(t, ctx, s, g, 0)
		if i == 0 {
			wantObjects(t, ctx, s, "one version collected", one.Object)
		}
	}
	wantObjects(t, ctx, s, "both collected", one.Object, two.Object)
	wantJobs(t, ctx, s, "deleted", map[int]document.Job{1: kept.Job}, map[int]document.Job{1: first.Job, 2: second.Job})
	if got := listPassages(t, ctx, s, kept.Document.ID, 10); len(got) != 1 {
		t.Errorf("passages of the document that stays: got %v", got)
	}
	unlistObjects(t, ctx, s)
	collectPassages(t, ctx, s)
	if all, err := s.Garbage(ctx, farFuture, 10); err != nil || len(all) > 0 && all[0].Kind != garbage.KindScan {
		t.Errorf("in the end: listed %+v, %v", all, err)
	}
}

// A large version is removed some rows at a time.
func collectsVersionsInParts(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "c")
	var passages []vector.EmbeddedPassage
	for i := range 7 {
		passages = append(passages, passageOf(fmt.Sprint("passage ", i), 1, 0, 0))
	}
	accepted := publishDocument(t, ctx, s, uploadOf(c, "a"), passages...)
	if err := s.DeleteDocument(ctx, accepted.Document.ID); err != nil {
		t.Fatal(err)
	}
	for _, g := range garbageOf(t, ctx, s, garbage.KindVersion, 0) {
		if calls := collectEntry(t, ctx, s, g, 0); calls < 4 { // 2 rows each
			t.Errorf("collected %d places in %d calls", len(passages), calls)
		}
	}
	collectPassages(t, ctx, s)
	wantKnown(t, ctx, s, c.ActiveSpace, hashesOf(passages...))
}

func keepsVersionsThatAreNeeded(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "c")
	first := publishDocument(t, ctx, s, uploadOf(c, "a"), passageOf("one", 1, 0, 0))
	second := acceptUpload(t, ctx, s, uploadOf(c, "a"))
	failJob(t, ctx, s, second.Job)
	collectVersions(t, ctx, s)
	wantJobs(t, ctx, s, "the newest failed", map[int]document.Job{1: first.Job, 2: second.Job}, nil)

	// The failed one is superseded, the published one is not.
	third := acceptUpload(t, ctx, s, uploadOf(c, "a"))
	collectVersions(t, ctx, s)
	wantJobs(t, ctx, s, "superseded", map[int]document.Job{1: first.Job, 3: third.Job}, map[int]document.Job{2: second.Job})
	for _, version := range []int{1, 3} { // whatever is listed
		if more, err := s.CollectGarbage(ctx, garbage.Entry{Kind: garbage.KindVersion, DocumentID: first.Document.ID, Version: version}, farFuture, 10); more || err != nil {
			t.Errorf("version %d: %t, %v", version, more, err)
		}
	}
	wantJobs(t, ctx, s, "needed", map[int]document.Job{1: first.Job, 3: third.Job}, nil)
}

// An object that several versions name is removed with the last of them, and not
// before.
func keepsSharedObjects(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "c")
	upload := uploadOf(c, "a")
	accepted := publishDocument(t, ctx, s, upload, passageOf("one", 1, 0, 0))
	id := accepted.Document.ID
	for range 2 {
		work, jobs := runRequeue(t, ctx, s, document.ReindexRequest{Collection: c.Name, Force: true})
		if len(jobs) != 1 {
			t.Fatalf("got %d jobs, want 1", len(jobs))
		}
		publishJob(t, ctx, s, jobs[0], passageOf("one", 1, 0, 0))
		finishSummary(t, ctx, s, jobs[0], "summary")
		requeue(t, ctx, s, work, 10, rebuild.RequeueResult{Ended: true})
	}
	collectVersion(t, ctx, s, id, 1)
	wantObjects(t, ctx, s, "the published version has the same original")
	if err := s.DeleteDocument(ctx, id); err != nil {
		t.Fatal(err)
	}
	collectVersion(t, ctx, s, id, 2)
	wantObjects(t, ctx, s, "the last one has it still")
	collectVersions(t, ctx, s)
	wantObjects(t, ctx, s, "all are gone", upload.Object)
}

// A version between the published one and the newest may go, but not the original
// that it shares with the published one.
func keepsTheObjectOfThePublishedVersion(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "c")
	publishDocument(t, ctx, s, uploadOf(c, "a"), passageOf("one", 1, 0, 0))
	_, jobs := runRequeue(t, ctx, s, document.ReindexRequest{Collection: c.Name, Force: true})
	for _, job := range jobs {
		failJob(t, ctx, s, job)
	}
	acceptUpload(t, ctx, s, uploadOf(c, "a"))
	collectVersions(t, ctx, s)
	wantJobs(t, ctx, s, "between", nil, map[int]document.Job{2: jobs[0]})
	wantObjects(t, ctx, s, "between")
}
