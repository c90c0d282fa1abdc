package storetest

import (
	"context"
	"encoding/base64"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

func readJob(t *testing.T, ctx context.Context, s Store, id uuid.UUID) document.Job {
	t.Helper()
	job, err := s.Job(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	return job
}

func readsJobs(t *testing.T, ctx context.Context, s Store) {
	accepted := acceptUpload(t, ctx, s, uploadOf(ensureCollection(t, ctx, s, "job"), "a"))
	want := document.Job{
		ID: accepted.Job.ID, DocumentID: accepted.Document.ID, Collection: "job", Version: 1, State: document.JobQueued,
		CreatedAt: accepted.Job.CreatedAt,
	}
	want.Tasks.Knowledge.State, want.Tasks.Summary.State = document.JobQueued, document.JobQueued
	check := func(when string) document.Job {
		t.Helper()
		got := readJob(t, ctx, s, want.ID)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
		return got
	}
	check("accepted")

	work := claimTask(t, ctx, s, accepted.Job, task.KindKnowledge)
	progress := document.KnowledgeProgress{Stage: "streaming", BytesDone: 7, BytesTotal: 1000, Passages: 1, Embedded: 1}
	if err := s.WriteBatch(ctx, work, batchOf(0, passageOf("one", 1, 0, 0)), progress); err != nil {
		t.Fatal(err)
	}
	want.State, want.Tasks.Knowledge.State, want.Tasks.Knowledge.Attempt = document.JobRunning, document.JobRunning, 1
	want.Tasks.Knowledge.KnowledgeProgress = progress
	want.StartedAt = readJob(t, ctx, s, want.ID).StartedAt
	check("running")
	if want.StartedAt == nil || want.StartedAt.Before(want.CreatedAt) {
		t.Errorf("started at %v, want a time after %v", want.StartedAt, want.CreatedAt)
	}

	before := time.Now()
	if err := s.RecordOutcome(ctx, work, task.Outcome{Verdict: task.VerdictRetry, Error: "provider hiccup", Delay: time.Hour}); err != nil {
		t.Fatal(err)
	}
	got := readJob(t, ctx, s, want.ID)
	next := got.NextAttemptAt
	if next == nil || next.Before(before.Add(50*time.Minute)) || next.After(before.Add(70*time.Minute)) {
		t.Errorf("next attempt at %v, want an hour after %v", next, before)
	}
	want.State, want.Tasks.Knowledge.State = document.JobWaiting, document.JobWaiting
	want.Error, want.Tasks.Knowledge.Error = "provider hiccup", "provider hiccup"
	want.NextAttemptAt, want.Tasks.Knowledge.NextAttemptAt = next, next
	check("waiting")
}

func listJobs(t *testing.T, ctx context.Context, s Store, filter document.JobFilter, limit int) []uuid.UUID {
	t.Helper()
	ids := []uuid.UUID{}
	for _, job := range listAll(t, limit, func(page document.Page) (document.List[document.Job], error) {
		return s.Jobs(ctx, filter, page)
	}) {
		ids = append(ids, job.ID)
	}
	return ids
}

func listsJobsNewestFirst(t *testing.T, ctx context.Context, s Store) {
	one, two := ensureCollection(t, ctx, s, "jobs one"), ensureCollection(t, ctx, s, "jobs two")
	a1 := acceptUpload(t, ctx, s, uploadOf(one, "a"))
	b1 := publishDocument(t, ctx, s, uploadOf(one, "b"), passageOf("listed", 1, 0, 0))
	other := acceptUpload(t, ctx, s, uploadOf(two, "a"))
	a2 := acceptUpload(t, ctx, s, uploadOf(one, "a"))

	for _, test := range []struct {
		filter document.JobFilter
		want   []uuid.UUID
	}{
		{document.JobFilter{Collection: "jobs one"}, []uuid.UUID{a2.Job.ID, b1.Job.ID, a1.Job.ID}},
		{document.JobFilter{Collection: "jobs two"}, []uuid.UUID{other.Job.ID}},
		{document.JobFilter{Collection: "never made"}, []uuid.UUID{}},
		{document.JobFilter{Collection: "jobs one", State: document.JobQueued}, []uuid.UUID{a2.Job.ID, a1.Job.ID}},
		{document.JobFilter{Collection: "jobs one", State: document.JobSucceeded}, []uuid.UUID{b1.Job.ID}},
		{document.JobFilter{Collection: "jobs one", State: document.JobFailed}, []uuid.UUID{}},
		{document.JobFilter{DocumentID: a1.Document.ID}, []uuid.UUID{a2.Job.ID, a1.Job.ID}},
		{document.JobFilter{DocumentID: a1.Document.ID, State: document.JobSucceeded}, []uuid.UUID{}},
		{document.JobFilter{DocumentID: uuid.New()}, []uuid.UUID{}},
	} {
		for _, limit := range []int{1, 2, 3, 10} {
			if diff := cmp.Diff(test.want, listJobs(t, ctx, s, test.filter, limit)); diff != "" {
				t.Errorf("%+v, limit %d: jobs (-want +got):\n%s", test.filter, limit, diff)
			}
		}
	}
	list, err := s.Jobs(ctx, document.JobFilter{DocumentID: b1.Document.ID}, document.Page{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]document.Job{readJob(t, ctx, s, b1.Job.ID)}, list.Items); diff != "" {
		t.Errorf("listed job (-alone +listed):\n%s", diff)
	}
}

func deletesForEveryReaderAtOnce(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "delete")
	accepted := publishDocument(t, ctx, s, uploadOf(c, "a"), passageOf("gone", 1, 0, 0))
	id := accepted.Document.ID
	second := acceptUpload(t, ctx, s, uploadOf(c, "a"))
	work := claimTask(t, ctx, s, second.Job, task.KindKnowledge)
	if err := s.DeleteDocument(ctx, id); err != nil {
		t.Fatal(err)
	}

	_, err := s.Document(ctx, id)
	wantFault(t, err, fault.NotFound)
	_, err = s.Passages(ctx, id, document.Page{Limit: 10})
	wantFault(t, err, fault.NotFound)
	_, err = s.Summary(ctx, id)
	wantFault(t, err, fault.NotFound)
	wantFault(t, s.DeleteDocument(ctx, id), fault.NotFound)
	if got := listDocuments(t, ctx, s, document.DocumentFilter{Collection: "delete"}, 10); len(got) > 0 {
		t.Errorf("documents: got %q", got)
	}
	wantContents(t, nearest(t, ctx, s, c, vector.Query{}))

	// Clients that poll the job learn what became of it; its worker can write no
	// more.
	if job := readJob(t, ctx, s, second.Job.ID); job.State != document.JobCancelled || job.Error != "document deleted" || job.FinishedAt == nil {
		t.Errorf("unfinished job: got %s, %q, finished at %v", job.State, job.Error, job.FinishedAt)
	}
	if job := readJob(t, ctx, s, accepted.Job.ID); job.State != document.JobSucceeded {
		t.Errorf("finished job: got %s", job.State)
	}
	wantFault(t, s.WriteBatch(ctx, work, vector.Batch{}, document.KnowledgeProgress{}), fault.LeaseLost)
	wantFault(t, s.Publish(ctx, work, nil, document.KnowledgeProgress{}), fault.LeaseLost)

	again := acceptUpload(t, ctx, s, uploadOf(c, "a"))
	if again.Document.ID == id || again.Document.Version != 1 || again.Document.State != document.DocumentPending {
		t.Errorf("upload under the free key: got %+v", again.Document)
	}
}

func refusesForeignCursors(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "cursors")
	var ids []uuid.UUID
	for _, key := range []string{"a", "b"} {
		accepted := publishDocument(t, ctx, s, uploadOf(c, key), passageOf("one", 1, 0, 0), passageOf("two", 1, 0, 0))
		ids = append(ids, accepted.Document.ID)
		cancelReindex(t, ctx, s, beginReindex(t, ctx, s, document.ReindexRequest{Collection: c.Name}).ID, leaseTime)
	}
	lists := map[string]func(cursor string) (string, error){
		"documents": func(cursor string) (string, error) {
			list, err := s.Documents(ctx, document.DocumentFilter{}, document.Page{Limit: 1, Cursor: cursor})
			return list.NextCursor, err
		},
		"jobs": func(cursor string) (string, error) {
			list, err := s.Jobs(ctx, document.JobFilter{}, document.Page{Limit: 1, Cursor: cursor})
			return list.NextCursor, err
		},
		"passages of a": func(cursor string) (string, error) {
			list, err := s.Passages(ctx, ids[0], document.Page{Limit: 1, Cursor: cursor})
			return list.NextCursor, err
		},
		"passages of b": func(cursor string) (string, error) {
			list, err := s.Passages(ctx, ids[1], document.Page{Limit: 1, Cursor: cursor})
			return list.NextCursor, err
		},
		"reindexes": func(cursor string) (string, error) {
			list, err := s.Reindexes(ctx, document.ReindexFilter{}, document.Page{Limit: 1, Cursor: cursor})
			return list.NextCursor, err
		},
	}
	cursors := map[string]string{}
	for name, list := range lists {
		cursor, err := list("")
		if err != nil || cursor == "" {
			t.Fatalf("%s: got cursor %q, %v, want one", name, cursor, err)
		}
		cursors[name] = cursor
	}
	for name, list := range lists {
		for _, rubbish := range []string{"rubbish", "!", "eyJ9", "AA", "\x00", "' OR 1=1 --",
			base64.RawURLEncoding.EncodeToString([]byte(name))} {
			if _, err := list(rubbish); !fault.Is(err, fault.BadRequest) {
				t.Errorf("%s after %q: got error %v, want one of kind bad_request", name, rubbish, err)
			}
		}
		for from, cursor := range cursors {
			if _, err := list(cursor); from != name && !fault.Is(err, fault.BadRequest) {
				t.Errorf("%s after a cursor of %s: got error %v, want one of kind bad_request", name, from, err)
			}
		}
	}
}

func refusesEmptyPages(t *testing.T, ctx context.Context, s Store) {
	id := publishDocument(t, ctx, s, uploadOf(ensureCollection(t, ctx, s, "empty pages"), "a"), passageOf("one", 1, 0, 0)).Document.ID
	for name, list := range map[string]func(document.Page) error{
		"collections": func(page document.Page) error { _, err := s.Collections(ctx, page); return err },
		"documents": func(page document.Page) error {
			_, err := s.Documents(ctx, document.DocumentFilter{}, page)
			return err
		},
		"documents of a prefix": func(page document.Page) error {
			_, err := s.Documents(ctx, document.DocumentFilter{KeyPrefix: "a"}, page)
			return err
		},
		"passages":   func(page document.Page) error { _, err := s.Passages(ctx, id, page); return err },
		"jobs":       func(page document.Page) error { _, err := s.Jobs(ctx, document.JobFilter{}, page); return err },
		"reindexes":  func(page document.Page) error { _, err := s.Reindexes(ctx, document.ReindexFilter{}, page); return err },
		"webhooks":   func(page document.Page) error { _, err := s.Webhooks(ctx, page); return err },
		"deliveries": func(page document.Page) error { _, err := s.Deliveries(ctx, uuid.New(), page); return err },
	} {
		for _, limit := range []int{0, -1} {
			if err := list(document.Page{Limit: limit}); !fault.Is(err, fault.BadRequest) {
				t.Errorf("%s, %d items: got error %v, want one of kind bad_request", name, limit, err)
			}
		}
	}
}

func answersNotFound(t *testing.T, ctx context.Context, s Store) {
	id := uuid.New()
	_, err := s.Document(ctx, id)
	wantFault(t, err, fault.NotFound)
	_, err = s.Passages(ctx, id, document.Page{Limit: 1})
	wantFault(t, err, fault.NotFound)
	_, err = s.Summary(ctx, id)
	wantFault(t, err, fault.NotFound)
	_, err = s.Job(ctx, id)
	wantFault(t, err, fault.NotFound)
	wantFault(t, s.DeleteDocument(ctx, id), fault.NotFound)
}
