package storetest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/rebuild"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// requeue has documents requeued and checks what came of it.
func requeue(t *testing.T, ctx context.Context, s Store, work task.Work, window int, want rebuild.RequeueResult) {
	t.Helper()
	got, err := s.RequeueDocuments(ctx, work, window)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("requeued (-want +got):\n%s", diff)
	}
}

// runRequeue begins a reindex without a change, and returns its work and the jobs
// that it made, the oldest first.
func runRequeue(t *testing.T, ctx context.Context, s Store, request document.ReindexRequest) (task.Work, []document.Job) {
	t.Helper()
	work := startReindex(t, ctx, s, request)
	requeued, err := s.RequeueDocuments(ctx, work, 100)
	if err != nil {
		t.Fatal(err)
	}
	return work, newestJobs(t, ctx, s, request.Collection, requeued.Jobs)
}

// wantRedone checks which documents a reindex without a change gives a next
// version, and cancels it and their jobs.
func wantRedone(t *testing.T, ctx context.Context, s Store, when string, request document.ReindexRequest, want ...rebuild.MissingVersion) {
	t.Helper()
	work, jobs := runRequeue(t, ctx, s, request)
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
		if state := readReindex(t, ctx, s, work.JobID).State; state != document.JobSucceeded {
			t.Errorf("%s: with nothing to do it is %s, want succeeded", when, state)
		}
		return
	}
	cancelReindex(t, ctx, s, work.JobID, leaseTime)
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
	c := ensureCollection(t, ctx, s, "requeue")
	upload := uploadOf(c, "a")
	upload.Metadata = json.RawMessage(`{"kept":[1,2]}`)
	accepted := publishDocument(t, ctx, s, upload, passageOf("one", 1, 0, 0))

	reindex, jobs := runRequeue(t, ctx, s, document.ReindexRequest{Collection: c.Name, Force: true})
	if reindex.Space.ID != c.ActiveSpace.ID {
		t.Errorf("space of the reindex: got %+v, want the live one, %+v", reindex.Space, c.ActiveSpace)
	}
	if len(jobs) != 1 {
		t.Fatalf("got %d jobs, want 1", len(jobs))
	}
	want := document.Job{ID: jobs[0].ID, DocumentID: accepted.Document.ID, Collection: "requeue", Version: 2,
		State: document.JobQueued, CreatedAt: jobs[0].CreatedAt}
	want.Tasks.Knowledge.State, want.Tasks.Summary.State = document.JobQueued, document.JobQueued
	if diff := cmp.Diff(want, jobs[0]); diff != "" {
		t.Errorf("job (-want +got):\n%s", diff)
	}

	before := readDocument(t, ctx, s, accepted.Document.ID)
	if before.Version != 1 || before.State != document.DocumentReady {
		t.Errorf("while the second version is made: got version %d, %s", before.Version, before.State)
	}
	work := claimTask(t, ctx, s, jobs[0], task.KindKnowledge)
	if work.Object != upload.Object || work.Size != upload.Size || work.Title != upload.Title || work.Key != "a" ||
		!cmp.Equal(work.Space, c.ActiveSpace) {
		t.Errorf("work: got %+v", work)
	}
	progress := document.KnowledgeProgress{Passages: 1, Reused: 1}
	batch := batchOf(0, passageOf("one", 1, 0, 0))
	batch.New = nil // it is in the space
	writeBatch(t, ctx, s, work, batch, progress)
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
	c := ensureCollection(t, ctx, s, "requeue order")
	var ids []uuid.UUID
	for i := range 5 {
		ids = append(ids, publishTexts(t, ctx, s, c, fmt.Sprint(i), "one").DocumentID)
	}
	work := startReindex(t, ctx, s, document.ReindexRequest{Collection: c.Name, Force: true})
	next := func(when string, window int, want ...int) []document.Job {
		t.Helper()
		requeue(t, ctx, s, work, window, rebuild.RequeueResult{Jobs: len(want)})
		jobs := newestJobs(t, ctx, s, c.Name, len(want))
		for i, job := range jobs {
			if job.DocumentID != ids[want[i]] || job.Version != 2 || job.State != document.JobQueued {
				t.Errorf("%s: job %d: got %+v, want one for document %d", when, i, job, want[i])
			}
		}
		return jobs
	}
	first := next("at first", 2, 0, 1)
	next("no room", 2)
	publishJob(t, ctx, s, first[0], passageOf("one", 1, 0, 0))
	next("a summary is still to be made", 2)
	finishSummary(t, ctx, s, first[0], "summary")
	acceptUpload(t, ctx, s, uploadOf(c, "uploaded meanwhile")) // takes no room
	second := next("one has ended", 2, 2)
	next("no window", 0)
	cancel(t, ctx, s, first[1])
	failJob(t, ctx, s, second[0])
	last := next("all have ended", 100, 3, 4)
	for _, job := range last[:1] {
		publishJob(t, ctx, s, job, passageOf("one", 1, 0, 0))
		finishSummary(t, ctx, s, job, "summary")
	}
	next("no document is left, but one job", 100)
	if got := readReindex(t, ctx, s, work.JobID); got.State != document.JobRunning {
		t.Errorf("got %s, want running", got.State)
	}
}

// Nothing is given a second version because the worker that gave it the first
// was lost, nor because that one failed.
func requeuesNothingTwice(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "requeue next attempt")
	for i := range 3 {
		publishTexts(t, ctx, s, c, fmt.Sprint(i), "one")
	}
	id := beginReindex(t, ctx, s, document.ReindexRequest{Collection: c.Name, Force: true}).ID
	for i := range 3 {
		work, err := s.Claim(ctx, reindexRef(t, ctx, id), -leaseTime)
		if err != nil {
			t.Fatal(err)
		}
		requeue(t, ctx, s, work, 1, rebuild.RequeueResult{Jobs: 1})
		job := newestJobs(t, ctx, s, c.Name, 1)[0]
		if key := readDocument(t, ctx, s, job.DocumentID).Key; key != fmt.Sprint(i) || job.Version != 2 {
			t.Errorf("attempt %d: got version %d of document %s", i, job.Version, key)
		}
		failJob(t, ctx, s, job)
	}
	requeue(t, ctx, s, claimReindex(t, ctx, s, id), 1, rebuild.RequeueResult{Ended: true})
}

func requeuesNothingUnderWay(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "requeue under way")
	request := document.ReindexRequest{Collection: c.Name, Force: true}
	acceptUpload(t, ctx, s, uploadOf(c, "queued"))
	half := acceptUpload(t, ctx, s, uploadOf(c, "half"))
	publishJob(t, ctx, s, half.Job, passageOf("one", 1, 0, 0)) // its summary is still to be made
	waiting := beginKnowledge(t, ctx, s, c, "waiting")
	recordOutcome(t, ctx, s, waiting, task.Outcome{Verdict: task.VerdictWait, Error: "down", Delay: leaseTime})
	done := publishTexts(t, ctx, s, c, "done", "one")
	edited := publishTexts(t, ctx, s, c, "edited", "one")
	acceptUpload(t, ctx, s, uploadOf(c, "edited"))

	wantRedone(t, ctx, s, "three under way", request, done)
	finishSummary(t, ctx, s, half.Job, "summary")
	wantRedone(t, ctx, s, "one has ended", request, rebuild.MissingVersion{Key: "half"}, done)
	cancel(t, ctx, s, newestJob(t, ctx, s, edited.DocumentID))
	wantRedone(t, ctx, s, "another was cancelled", request, rebuild.MissingVersion{Key: "half"}, done, edited)
}

// newestJob returns the newest job of a document.
func newestJob(t *testing.T, ctx context.Context, s Store, id uuid.UUID) document.Job {
	t.Helper()
	list, err := s.Jobs(ctx, document.JobFilter{DocumentID: id}, document.Page{Limit: 1})
	if err != nil || len(list.Items) != 1 {
		t.Fatalf("got jobs %+v, %v", list.Items, err)
	}
	return list.Items[0]
}

func requeuesNothingDeleted(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "requeue deleted")
	gone := publishTexts(t, ctx, s, c, "gone", "one")
	kept := publishTexts(t, ctx, s, c, "kept", "one")
	publishTexts(t, ctx, s, ensureCollection(t, ctx, s, "requeue not deleted"), "elsewhere", "one")
	named := beginReindex(t, ctx, s, document.ReindexRequest{Collection: c.Name, Force: true, DocumentIDs: []uuid.UUID{gone.DocumentID}})
	if err := s.DeleteDocument(ctx, gone.DocumentID); err != nil {
		t.Fatal(err)
	}
	requeue(t, ctx, s, claimReindex(t, ctx, s, named.ID), 10, rebuild.RequeueResult{Ended: true})
	wantRedone(t, ctx, s, "one of two is deleted", document.ReindexRequest{Collection: c.Name, Force: true}, kept)
}

// Without force, what is whole is left alone.
func requeuesWhatCameToNothing(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "requeue unforced")
	request := document.ReindexRequest{Collection: c.Name}
	publishTexts(t, ctx, s, c, "whole", "one")
	wantRedone(t, ctx, s, "all is whole", request)
	failed := acceptUpload(t, ctx, s, uploadOf(c, "failed")).Job
	failJob(t, ctx, s, failed)
	cancelled := acceptUpload(t, ctx, s, uploadOf(c, "cancelled")).Job
	cancel(t, ctx, s, cancelled)
	publishTexts(t, ctx, s, c, "live", "one")
	failJob(t, ctx, s, acceptUpload(t, ctx, s, uploadOf(c, "live")).Job)
	acceptUpload(t, ctx, s, uploadOf(c, "pending"))
	failJob(t, ctx, s, acceptUpload(t, ctx, s, uploadOf(c, "mended")).Job)
	publishTexts(t, ctx, s, c, "mended", "one")
	unsummarised := acceptUpload(t, ctx, s, uploadOf(c, "whole, without a summary")).Job
	publishJob(t, ctx, s, unsummarised, passageOf("one", 1, 0, 0))
	recordOutcome(t, ctx, s, claimTask(t, ctx, s, unsummarised, task.KindSummary), task.Outcome{Verdict: task.VerdictFail, Error: "no words"})

	work, jobs := runRequeue(t, ctx, s, request)
	if len(jobs) != 3 || jobs[0].DocumentID != failed.DocumentID || jobs[1].DocumentID != cancelled.DocumentID || jobs[2].Version != 3 {
		t.Fatalf("got jobs %+v, want one each for what failed, was cancelled, and failed over a live version", jobs)
	}
	if d := readDocument(t, ctx, s, failed.DocumentID); d.State != document.DocumentPending {
		t.Errorf("failed document that was requeued: got %s, want pending", d.State)
	}
	for _, job := range jobs {
		publishJob(t, ctx, s, job, passageOf("one", 1, 0, 0))
		finishSummary(t, ctx, s, job, "summary")
	}
	requeue(t, ctx, s, work, 10, rebuild.RequeueResult{Ended: true})
	wantRedone(t, ctx, s, "once more", request)
}

func requeuesMatchingDocuments(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "requeue matching")
	a := publishTexts(t, ctx, s, c, "dir/a", "one")
	b := publishTexts(t, ctx, s, c, "dir/b", "one")
	other := publishTexts(t, ctx, s, c, "other", "one")
	publishTexts(t, ctx, s, ensureCollection(t, ctx, s, "requeue matching elsewhere"), "dir/a", "one")
	for when, test := range map[string]struct {
		request document.ReindexRequest
		want    []rebuild.MissingVersion
	}{
		"all":                   {document.ReindexRequest{}, []rebuild.MissingVersion{a, b, other}},
		"prefix":                {document.ReindexRequest{KeyPrefix: "dir/"}, []rebuild.MissingVersion{a, b}},
		"prefix like a pattern": {document.ReindexRequest{KeyPrefix: "di_/"}, nil},
		"any prefix":            {document.ReindexRequest{KeyPrefix: "%"}, nil},
		"one":                   {document.ReindexRequest{DocumentIDs: []uuid.UUID{b.DocumentID}}, []rebuild.MissingVersion{b}},
		"two":                   {document.ReindexRequest{DocumentIDs: []uuid.UUID{other.DocumentID, a.DocumentID}}, []rebuild.MissingVersion{a, other}},
		"one of a prefix":       {document.ReindexRequest{KeyPrefix: "dir/", DocumentIDs: []uuid.UUID{other.DocumentID, a.DocumentID}}, []rebuild.MissingVersion{a}},
	} {
		test.request.Collection, test.request.Force = c.Name, true
		wantRedone(t, ctx, s, when, test.request, test.want...)
	}
	for _, of := range []rebuild.MissingVersion{a, b, other} { // whose last versions were cancelled
		job := newestJob(t, ctx, s, of.DocumentID)
		if job.Version < 3 || job.State != document.JobCancelled {
			t.Fatalf("got job %+v", job)
		}
	}
	wantRedone(t, ctx, s, "not forced", document.ReindexRequest{Collection: c.Name, KeyPrefix: "dir/b"}, b)
}

// What was uploaded last is what the document is to say, even if it failed.
func requeuesTheNewestVersion(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "requeue newest")
	publishTexts(t, ctx, s, c, "a", "one")
	upload := uploadOf(c, "a")
	failJob(t, ctx, s, acceptUpload(t, ctx, s, upload).Job)

	_, jobs := runRequeue(t, ctx, s, document.ReindexRequest{Collection: c.Name})
	if len(jobs) != 1 || jobs[0].Version != 3 {
		t.Fatalf("got %+v, want a job for version 3", jobs)
	}
	if work := claimTask(t, ctx, s, jobs[0], task.KindKnowledge); work.Object != upload.Object {
		t.Errorf("object: got %s, want that of version 2, %s", work.Object, upload.Object)
	}
}
