package storetest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// requeue has documents requeued and checks what came of it.
func requeue(t *testing.T, ctx context.Context, s Store, work document.Work, window int, want document.Requeued) {
	t.Helper()
	got, err := s.Requeue(ctx, work, window)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("requeued (-want +got):\n%s", diff)
	}
}

// redo begins a reindex without a change, and returns its work and the jobs
// that it made, the oldest first.
func redo(t *testing.T, ctx context.Context, s Store, request document.ReindexRequest) (document.Work, []document.Job) {
	t.Helper()
	work := startReindex(t, ctx, s, request)
	requeued, err := s.Requeue(ctx, work, 100)
	if err != nil {
		t.Fatal(err)
	}
	return work, newestJobs(t, ctx, s, request.Collection, requeued.Jobs)
}

// wantRedone checks which documents a reindex without a change gives a next
// version, and cancels it and their jobs.
func wantRedone(t *testing.T, ctx context.Context, s Store, when string, request document.ReindexRequest, want ...document.Unplaced) {
	t.Helper()
	work, jobs := redo(t, ctx, s, request)
	got := []string{}
	for _, job := range jobs {
		got = append(got, readDocument(t, ctx, s, job.DocumentID).Key)
	}
	wanted := []string{}
	for _, of := range want {
		wanted = append(wanted, of.Key)
	}
	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Errorf("%s: redone (-want +got):\n%s", when, diff)
	}
	if len(jobs) == 0 {
		if state := readReindex(t, ctx, s, work.Job).State; state != document.Succeeded {
			t.Errorf("%s: with nothing to do it is %s, want succeeded", when, state)
		}
		return
	}
	cancelReindex(t, ctx, s, work.Job, leaseTime)
	for _, job := range jobs {
		cancel(t, ctx, s, job)
	}
}

// newestJobs returns the n newest jobs of a collection, the oldest of these
// first.
func newestJobs(t *testing.T, ctx context.Context, s Store, collection string, n int) []document.Job {
	t.Helper()
	list, err := s.Jobs(ctx, document.JobFilter{Collection: collection}, document.Page{Limit: max(n, 1)})
	if err != nil || len(list.Items) < n {
		t.Fatalf("got %d jobs, %v, want %d", len(list.Items), err, n)
	}
	jobs := list.Items[:n]
	slices.Reverse(jobs)
	return jobs
}

func requeuesWithTheSameOriginal(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "requeue")
	upload := uploadOf(c, "a")
	upload.Metadata = json.RawMessage(`{"kept":[1,2]}`)
	accepted := publishDocument(t, ctx, s, upload, passageOf("one", 1, 0, 0))

	reindex, jobs := redo(t, ctx, s, document.ReindexRequest{Collection: c.Name, Force: true})
	if reindex.Space.ID != c.Space.ID {
		t.Errorf("space of the reindex: got %+v, want the live one, %+v", reindex.Space, c.Space)
	}
	if len(jobs) != 1 {
		t.Fatalf("got %d jobs, want 1", len(jobs))
	}
	want := document.Job{ID: jobs[0].ID, DocumentID: accepted.Document.ID, Collection: "requeue", Version: 2,
		State: document.Queued, CreatedAt: jobs[0].CreatedAt}
	want.Tasks.Knowledge.State, want.Tasks.Summary.State = document.Queued, document.Queued
	if diff := cmp.Diff(want, jobs[0]); diff != "" {
		t.Errorf("job (-want +got):\n%s", diff)
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
	write(t, ctx, s, work, batch, progress)
	if err := s.Publish(ctx, work, nil, progress); err != nil {
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

func requeuesWhatThereIsRoomFor(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "requeue order")
	var ids []uuid.UUID
	for i := range 5 {
		ids = append(ids, publishTexts(t, ctx, s, c, fmt.Sprint(i), "one").Document)
	}
	work := startReindex(t, ctx, s, document.ReindexRequest{Collection: c.Name, Force: true})
	next := func(when string, window int, want ...int) []document.Job {
		t.Helper()
		requeue(t, ctx, s, work, window, document.Requeued{Jobs: len(want)})
		jobs := newestJobs(t, ctx, s, c.Name, len(want))
		for i, job := range jobs {
			if job.DocumentID != ids[want[i]] || job.Version != 2 || job.State != document.Queued {
				t.Errorf("%s: job %d: got %+v, want one for document %d", when, i, job, want[i])
			}
		}
		return jobs
	}
	first := next("at first", 2, 0, 1)
	next("no room", 2)
	publish(t, ctx, s, first[0], passageOf("one", 1, 0, 0))
	next("a summary is still to be made", 2)
	summarise(t, ctx, s, first[0], "summary")
	accept(t, ctx, s, uploadOf(c, "uploaded meanwhile")) // takes no room
	second := next("one has ended", 2, 2)
	next("no window", 0)
	cancel(t, ctx, s, first[1])
	fail(t, ctx, s, second[0])
	last := next("all have ended", 100, 3, 4)
	for _, job := range last[:1] {
		publish(t, ctx, s, job, passageOf("one", 1, 0, 0))
		summarise(t, ctx, s, job, "summary")
	}
	next("no document is left, but one job", 100)
	if got := readReindex(t, ctx, s, work.Job); got.State != document.Running {
		t.Errorf("got %s, want running", got.State)
	}
}

// Nothing is given a second version because the worker that gave it the first
// was lost, nor because that one failed.
func requeuesNothingTwice(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "requeue next attempt")
	for i := range 3 {
		publishTexts(t, ctx, s, c, fmt.Sprint(i), "one")
	}
	id := beginReindex(t, ctx, s, document.ReindexRequest{Collection: c.Name, Force: true}).ID
	for i := range 3 {
		work, err := s.Claim(ctx, reindexRef(t, ctx, id), -leaseTime)
		if err != nil {
			t.Fatal(err)
		}
		requeue(t, ctx, s, work, 1, document.Requeued{Jobs: 1})
		job := newestJobs(t, ctx, s, c.Name, 1)[0]
		if key := readDocument(t, ctx, s, job.DocumentID).Key; key != fmt.Sprint(i) || job.Version != 2 {
			t.Errorf("attempt %d: got version %d of document %s", i, job.Version, key)
		}
		fail(t, ctx, s, job)
	}
	requeue(t, ctx, s, claimReindex(t, ctx, s, id), 1, document.Requeued{Ended: true})
}

func requeuesNothingUnderWay(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "requeue under way")
	request := document.ReindexRequest{Collection: c.Name, Force: true}
	accept(t, ctx, s, uploadOf(c, "queued"))
	half := accept(t, ctx, s, uploadOf(c, "half"))
	publish(t, ctx, s, half.Job, passageOf("one", 1, 0, 0)) // its summary is still to be made
	waiting := begin(t, ctx, s, c, "waiting")
	settle(t, ctx, s, waiting, document.Outcome{Verdict: document.VerdictWait, Error: "down", Delay: leaseTime})
	done := publishTexts(t, ctx, s, c, "done", "one")
	edited := publishTexts(t, ctx, s, c, "edited", "one")
	accept(t, ctx, s, uploadOf(c, "edited"))

	wantRedone(t, ctx, s, "three under way", request, done)
	summarise(t, ctx, s, half.Job, "summary")
	wantRedone(t, ctx, s, "one has ended", request, document.Unplaced{Key: "half"}, done)
	cancel(t, ctx, s, newestJob(t, ctx, s, edited.Document))
	wantRedone(t, ctx, s, "another was cancelled", request, document.Unplaced{Key: "half"}, done, edited)
}

// newestJob returns the newest job of a document.
func newestJob(t *testing.T, ctx context.Context, s Store, id uuid.UUID) document.Job {
	t.Helper()
	list, err := s.Jobs(ctx, document.JobFilter{Document: id}, document.Page{Limit: 1})
	if err != nil || len(list.Items) != 1 {
		t.Fatalf("got jobs %+v, %v", list.Items, err)
	}
	return list.Items[0]
}

func requeuesNothingDeleted(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "requeue deleted")
	gone := publishTexts(t, ctx, s, c, "gone", "one")
	kept := publishTexts(t, ctx, s, c, "kept", "one")
	publishTexts(t, ctx, s, ensure(t, ctx, s, "requeue not deleted"), "elsewhere", "one")
	named := beginReindex(t, ctx, s, document.ReindexRequest{Collection: c.Name, Force: true, Documents: []uuid.UUID{gone.Document}})
	if err := s.DeleteDocument(ctx, gone.Document); err != nil {
		t.Fatal(err)
	}
	requeue(t, ctx, s, claimReindex(t, ctx, s, named.ID), 10, document.Requeued{Ended: true})
	wantRedone(t, ctx, s, "one of two is deleted", document.ReindexRequest{Collection: c.Name, Force: true}, kept)
}

// Without force, what is whole is left alone.
func requeuesWhatCameToNothing(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "requeue unforced")
	request := document.ReindexRequest{Collection: c.Name}
	publishTexts(t, ctx, s, c, "whole", "one")
	wantRedone(t, ctx, s, "all is whole", request)
	failed := accept(t, ctx, s, uploadOf(c, "failed")).Job
	fail(t, ctx, s, failed)
	cancelled := accept(t, ctx, s, uploadOf(c, "cancelled")).Job
	cancel(t, ctx, s, cancelled)
	publishTexts(t, ctx, s, c, "live", "one")
	fail(t, ctx, s, accept(t, ctx, s, uploadOf(c, "live")).Job)
	accept(t, ctx, s, uploadOf(c, "pending"))
	fail(t, ctx, s, accept(t, ctx, s, uploadOf(c, "mended")).Job)
	publishTexts(t, ctx, s, c, "mended", "one")
	unsummarised := accept(t, ctx, s, uploadOf(c, "whole, without a summary")).Job
	publish(t, ctx, s, unsummarised, passageOf("one", 1, 0, 0))
	settle(t, ctx, s, claim(t, ctx, s, unsummarised, document.Summarise), document.Outcome{Verdict: document.VerdictFail, Error: "no words"})

	work, jobs := redo(t, ctx, s, request)
	if len(jobs) != 3 || jobs[0].DocumentID != failed.DocumentID || jobs[1].DocumentID != cancelled.DocumentID || jobs[2].Version != 3 {
		t.Fatalf("got jobs %+v, want one each for what failed, was cancelled, and failed over a live version", jobs)
	}
	if d := readDocument(t, ctx, s, failed.DocumentID); d.State != document.Pending {
		t.Errorf("failed document that was requeued: got %s, want pending", d.State)
	}
	for _, job := range jobs {
		publish(t, ctx, s, job, passageOf("one", 1, 0, 0))
		summarise(t, ctx, s, job, "summary")
	}
	requeue(t, ctx, s, work, 10, document.Requeued{Ended: true})
	wantRedone(t, ctx, s, "once more", request)
}

func requeuesMatchingDocuments(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "requeue matching")
	a := publishTexts(t, ctx, s, c, "dir/a", "one")
	b := publishTexts(t, ctx, s, c, "dir/b", "one")
	other := publishTexts(t, ctx, s, c, "other", "one")
	publishTexts(t, ctx, s, ensure(t, ctx, s, "requeue matching elsewhere"), "dir/a", "one")
	for when, test := range map[string]struct {
		request document.ReindexRequest
		want    []document.Unplaced
	}{
		"all":                   {document.ReindexRequest{}, []document.Unplaced{a, b, other}},
		"prefix":                {document.ReindexRequest{KeyPrefix: "dir/"}, []document.Unplaced{a, b}},
		"prefix like a pattern": {document.ReindexRequest{KeyPrefix: "di_/"}, nil},
		"any prefix":            {document.ReindexRequest{KeyPrefix: "%"}, nil},
		"one":                   {document.ReindexRequest{Documents: []uuid.UUID{b.Document}}, []document.Unplaced{b}},
		"two":                   {document.ReindexRequest{Documents: []uuid.UUID{other.Document, a.Document}}, []document.Unplaced{a, other}},
		"one of a prefix":       {document.ReindexRequest{KeyPrefix: "dir/", Documents: []uuid.UUID{other.Document, a.Document}}, []document.Unplaced{a}},
	} {
		test.request.Collection, test.request.Force = c.Name, true
		wantRedone(t, ctx, s, when, test.request, test.want...)
	}
	for _, of := range []document.Unplaced{a, b, other} { // whose last versions were cancelled
		job := newestJob(t, ctx, s, of.Document)
		if job.Version < 3 || job.State != document.Cancelled {
			t.Fatalf("got job %+v", job)
		}
	}
	wantRedone(t, ctx, s, "not forced", document.ReindexRequest{Collection: c.Name, KeyPrefix: "dir/b"}, b)
}

// What was uploaded last is what the document is to say, even if it failed.
func requeuesTheNewestVersion(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "requeue newest")
	publishTexts(t, ctx, s, c, "a", "one")
	upload := uploadOf(c, "a")
	fail(t, ctx, s, accept(t, ctx, s, upload).Job)

	_, jobs := redo(t, ctx, s, document.ReindexRequest{Collection: c.Name})
	if len(jobs) != 1 || jobs[0].Version != 3 {
		t.Fatalf("got %+v, want a job for version 3", jobs)
	}
	if work := claim(t, ctx, s, jobs[0], document.Knowledge); work.Object != upload.Object {
		t.Errorf("object: got %s, want that of version 2, %s", work.Object, upload.Object)
	}
}
