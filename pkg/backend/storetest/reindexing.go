package storetest

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/tenant"
)

func reindexing(t *testing.T, open func(t *testing.T) Store) {
	s := open(t)
	ctx := as(t, tenant.Default)
	for name, test := range map[string]func(*testing.T, context.Context, Store){
		"Next version":   requeuesWithTheSameOriginal,
		"Order":          requeuesInOrderPageByPage,
		"Under way":      requeuesNothingUnderWay,
		"Filter":         requeuesMatchingDocuments,
		"One document":   requeuesOneDocument,
		"Newest version": requeuesTheNewestVersion,
	} {
		t.Run(name, func(t *testing.T) { test(t, ctx, s) })
	}
}

// requeue requeues what matches to the end, at most limit documents a time.
func requeue(t *testing.T, ctx context.Context, s Store, filter document.DocumentFilter, id uuid.UUID, limit int) []document.Job {
	t.Helper()
	return listAll(t, limit, func(page document.Page) (document.List[document.Job], error) {
		return s.Requeue(ctx, filter, id, page)
	})
}

func requeuesWithTheSameOriginal(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "requeue")
	upload := uploadOf(c, "a")
	upload.Metadata = json.RawMessage(`{"kept":[1,2]}`)
	accepted := publishDocument(t, ctx, s, upload, passageOf("one", 1, 0, 0))

	jobs := requeue(t, ctx, s, document.DocumentFilter{Collection: "requeue"}, uuid.Nil, 10)
	if len(jobs) != 1 {
		t.Fatalf("got %d jobs, want 1", len(jobs))
	}
	want := document.Job{ID: jobs[0].ID, DocumentID: accepted.Document.ID, Collection: "requeue", Version: 2,
		State: document.Queued, CreatedAt: jobs[0].CreatedAt}
	want.Tasks.Knowledge.State, want.Tasks.Summary.State = document.Queued, document.Queued
	if diff := cmp.Diff(want, jobs[0]); diff != "" {
		t.Errorf("job (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(jobs[0], readJob(t, ctx, s, jobs[0].ID)); diff != "" {
		t.Errorf("job (-requeued +read):\n%s", diff)
	}

	before := readDocument(t, ctx, s, accepted.Document.ID)
	if before.Version != 1 || before.State != document.Ready {
		t.Errorf("while the second version is made: got version %d, %s", before.Version, before.State)
	}
	work := claim(t, ctx, s, jobs[0], document.Knowledge)
	if work.Object != upload.Object || work.Size != upload.Size || work.Title != upload.Title || work.Key != "a" ||
		!cmp.Equal(work.Space, c.Space) {
		t.Errorf("work: got %+v", work)
	}
	progress := document.KnowledgeProgress{Passages: 1, Reused: 1}
	batch := batchOf(0, passageOf("one", 1, 0, 0))
	batch.New = nil // it is in the space
	if err := s.Write(ctx, work, batch, progress); err != nil {
		t.Fatal(err)
	}
	if err := s.Publish(ctx, work, progress); err != nil {
		t.Fatal(err)
	}
	want2 := before
	want2.Version = 2
	after := readDocument(t, ctx, s, accepted.Document.ID)
	want2.UpdatedAt = after.UpdatedAt
	if diff := cmp.Diff(want2, after, compactJSON()); diff != "" {
		t.Errorf("document (-want +got):\n%s", diff)
	}
}

func requeuesInOrderPageByPage(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "requeue pages")
	var want []uuid.UUID
	for i := range 5 {
		accepted := publishDocument(t, ctx, s, uploadOf(c, fmt.Sprint(i)), passageOf("one", 1, 0, 0))
		want = append(want, accepted.Document.ID)
	}
	// The last page is full: only its empty cursor says that it is the last.
	for _, limit := range []int{1, 2, 5} {
		var got []uuid.UUID
		for _, job := range requeue(t, ctx, s, document.DocumentFilter{Collection: "requeue pages"}, uuid.Nil, limit) {
			got = append(got, job.DocumentID)
			publish(t, ctx, s, job, passageOf("one", 1, 0, 0))
			summarise(t, ctx, s, job, "summary")
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("limit %d: documents (-want +got):\n%s", limit, diff)
		}
	}
	list, err := s.Requeue(ctx, document.DocumentFilter{Collection: "requeue pages"}, uuid.Nil, document.Page{Limit: 5})
	if err != nil || len(list.Items) != 5 || list.NextCursor != "" {
		t.Errorf("all in one page: got %d jobs, cursor %q, %v", len(list.Items), list.NextCursor, err)
	}
}

func requeuesNothingUnderWay(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "requeue under way")
	filter := document.DocumentFilter{Collection: "requeue under way"}
	queued := accept(t, ctx, s, uploadOf(c, "queued"))
	half := accept(t, ctx, s, uploadOf(c, "half"))
	publish(t, ctx, s, half.Job, passageOf("one", 1, 0, 0)) // its summary is still to be made
	waiting := accept(t, ctx, s, uploadOf(c, "waiting"))
	work := claim(t, ctx, s, waiting.Job, document.Knowledge)
	if err := s.Settle(ctx, work, document.Outcome{Verdict: document.VerdictWait, Error: "down", Delay: leaseTime}); err != nil {
		t.Fatal(err)
	}
	done := publishDocument(t, ctx, s, uploadOf(c, "done"), passageOf("one", 1, 0, 0))

	jobs := requeue(t, ctx, s, filter, uuid.Nil, 10)
	if len(jobs) != 1 || jobs[0].DocumentID != done.Document.ID {
		t.Errorf("got %+v, want the job of %s only", jobs, done.Document.ID)
	}
	if jobs := requeue(t, ctx, s, filter, uuid.Nil, 10); len(jobs) > 0 {
		t.Errorf("a second time: got %+v", jobs)
	}
	summarise(t, ctx, s, half.Job, "summary")
	if err := s.DeleteDocument(ctx, queued.Document.ID); err != nil {
		t.Fatal(err)
	}
	if jobs := requeue(t, ctx, s, filter, uuid.Nil, 10); len(jobs) != 1 || jobs[0].DocumentID != half.Document.ID {
		t.Errorf("once one has ended and one is deleted: got %+v, want the job of %s only", jobs, half.Document.ID)
	}
}

func requeuesMatchingDocuments(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "requeue filter")
	publishDocument(t, ctx, s, uploadOf(c, "a/ready"), passageOf("one", 1, 0, 0))
	failed := accept(t, ctx, s, uploadOf(c, "a/failed"))
	fail(t, ctx, s, failed.Job)
	publishDocument(t, ctx, s, uploadOf(c, "b"), passageOf("one", 1, 0, 0))

	got := requeue(t, ctx, s, document.DocumentFilter{Collection: c.Name, KeyPrefix: "a/", State: document.Failed}, uuid.Nil, 10)
	if len(got) != 1 || got[0].DocumentID != failed.Document.ID {
		t.Fatalf("failed ones: got %+v", got)
	}
	if d := readDocument(t, ctx, s, failed.Document.ID); d.State != document.Pending {
		t.Errorf("failed document that was requeued: got %s, want pending", d.State)
	}
	got = requeue(t, ctx, s, document.DocumentFilter{Collection: c.Name, KeyPrefix: "_/"}, uuid.Nil, 10)
	if len(got) > 0 {
		t.Errorf("prefix _/: got %+v", got)
	}
	got = requeue(t, ctx, s, document.DocumentFilter{Collection: c.Name, KeyPrefix: "a/"}, uuid.Nil, 10)
	if len(got) != 1 {
		t.Errorf("prefix a/: got %d jobs, want 1", len(got))
	}
	got = requeue(t, ctx, s, document.DocumentFilter{Collection: "never made"}, uuid.Nil, 10)
	if len(got) > 0 {
		t.Errorf("unknown collection: got %+v", got)
	}
}

func requeuesOneDocument(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "requeue one")
	one := publishDocument(t, ctx, s, uploadOf(c, "one"), passageOf("one", 1, 0, 0))
	publishDocument(t, ctx, s, uploadOf(c, "two"), passageOf("two", 1, 0, 0))
	got := requeue(t, ctx, s, document.DocumentFilter{}, one.Document.ID, 10)
	if len(got) != 1 || got[0].DocumentID != one.Document.ID {
		t.Errorf("got %+v, want the job of %s only", got, one.Document.ID)
	}
	if got := requeue(t, ctx, s, document.DocumentFilter{}, uuid.New(), 10); len(got) > 0 {
		t.Errorf("unknown document: got %+v", got)
	}
}

// What was uploaded last is what the document is to say, even if it failed.
func requeuesTheNewestVersion(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "requeue newest")
	publishDocument(t, ctx, s, uploadOf(c, "a"), passageOf("one", 1, 0, 0))
	upload := uploadOf(c, "a")
	second := accept(t, ctx, s, upload)
	fail(t, ctx, s, second.Job)

	got := requeue(t, ctx, s, document.DocumentFilter{Collection: c.Name}, uuid.Nil, 10)
	if len(got) != 1 || got[0].Version != 3 {
		t.Fatalf("got %+v, want a job for version 3", got)
	}
	if work := claim(t, ctx, s, got[0], document.Knowledge); work.Object != upload.Object {
		t.Errorf("object: got %s, want that of version 2, %s", work.Object, upload.Object)
	}
}
