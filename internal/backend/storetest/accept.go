package storetest

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

func ingest(t *testing.T, open func(t *testing.T) Store) {
	s := open(t)
	ctx := tenantContext(t, tenant.Default)
	for name, test := range map[string]func(*testing.T, context.Context, Store){
		"Collection":             ensuresCollections,
		"Collection dimensions":  takesVectorsOfAnyLength,
		"Collection at once":     ensuresOneCollectionAtOnce,
		"New document":           acceptsNewDocuments,
		"Next version":           acceptsNextVersions,
		"Any text":               acceptsAnyText,
		"Unchanged":              acceptsUnchangedDocuments,
		"Unchanged metadata":     acceptsUnchangedMetadata,
		"Changed":                acceptsChangedDocuments,
		"Unchanged after ending": acceptsAgainWhatFailed,
		"Deleted":                acceptsUnderTheKeyOfADeletedDocument,
		"Conditions":             acceptsUnderConditions,
		"Conditions at once":     acceptsOneUnderAConditionAtOnce,
		"Deleted on condition":   deletesUnderConditions,
		"Same at once":           acceptsTheSameOnceAtOnce,
		"Different at once":      acceptsDifferentOnesOneAfterAnother,
	} {
		t.Run(name, func(t *testing.T) { test(t, ctx, s) })
	}
}

func ensuresCollections(t *testing.T, ctx context.Context, s Store) {
	model, chunking := document.Model{Name: "first", Dimensions: 4}, document.Chunking{Tokens: 100, Overlap: 10}
	made, err := s.EnsureCollection(ctx, "ensured", model, chunking)
	if err != nil {
		t.Fatal(err)
	}
	want := vector.Collection{ID: made.ID, Name: "ensured", SpaceReplaceable: true,
		ActiveSpace: vector.Space{ID: made.ActiveSpace.ID, CollectionID: made.ID, Model: model, Chunking: chunking}}
	if diff := cmp.Diff(want, made); diff != "" {
		t.Errorf("made (-want +got):\n%s", diff)
	}
	again, err := s.EnsureCollection(ctx, "ensured", document.Model{Name: "other", Dimensions: 5}, document.Chunking{Tokens: 7})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(made, again); diff != "" {
		t.Errorf("a second time, with other settings (-first +second):\n%s", diff)
	}
	if other := ensureCollection(t, ctx, s, "another"); other.ID == made.ID || other.ActiveSpace.ID == made.ActiveSpace.ID {
		t.Errorf("another name: got the same collection or space: %+v", other)
	}
}

// Vectors of every length that PostgreSQL stores; it keeps long ones elsewhere.
func takesVectorsOfAnyLength(t *testing.T, ctx context.Context, s Store) {
	for _, dimensions := range []int{1, 3000, 3001, 16000} {
		c, err := s.EnsureCollection(ctx, fmt.Sprint("of ", dimensions), document.Model{Name: "m", Dimensions: dimensions}, document.Chunking{Tokens: 1})
		if err != nil {
			t.Fatal(err)
		}
		vector := make([]float32, dimensions)
		vector[dimensions-1] = 1
		publishDocument(t, ctx, s, uploadOf(c, "a"), passageOf("one", vector...))
		if hits := nearestTo(t, ctx, s, c, vector...); len(hits) != 1 || hits[0].Score < 0.999 {
			t.Errorf("%d dimensions: got %+v, want the one passage with score 1", dimensions, hits)
		}
	}
}

func ensuresOneCollectionAtOnce(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "read meanwhile")
	publishDocument(t, ctx, s, uploadOf(c, "a"), passageOf("one", 1, 0, 0))
	got := make([]vector.Collection, 8)
	concurrently(t, len(got), func(i int) (err error) {
		if hits, err := s.NearestPassages(ctx, c.ActiveSpace, vector.Query{Vector: []float32{1, 0, 0}, Limit: 1}); err != nil || len(hits) != 1 {
			return fmt.Errorf("search meanwhile: got %d hits, %w", len(hits), err)
		}
		got[i], err = s.EnsureCollection(ctx, "at once", document.Model{Name: "m", Dimensions: i + 1}, document.Chunking{Tokens: 1})
		return err
	})
	for _, c := range got[1:] {
		if diff := cmp.Diff(got[0], c); diff != "" {
			t.Errorf("two callers got different collections:\n%s", diff)
		}
	}
}

// concurrently calls fn n times at once.
func concurrently(t *testing.T, n int, fn func(i int) error) {
	t.Helper()
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			if err := fn(i); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

func acceptsNewDocuments(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "accept")
	upload := uploadOf(c, "new")
	upload.Metadata = json.RawMessage(`{"b":[1,{"c":null}],"a":"ä"}`)
	got := acceptUpload(t, ctx, s, upload)

	wantDocument := document.Document{ID: got.Document.ID, Collection: "accept", Key: "new", Title: upload.Title, State: document.DocumentPending,
		Version: 1, Size: upload.Size, SHA256: upload.SHA256, MediaType: upload.MediaType, Metadata: upload.Metadata,
		CreatedAt: got.Document.CreatedAt, UpdatedAt: got.Document.CreatedAt, Object: upload.Object}
	wantJob := document.Job{ID: got.Job.ID, DocumentID: got.Document.ID, Collection: "accept", Version: 1, State: document.JobQueued,
		CreatedAt: got.Job.CreatedAt}
	wantJob.Tasks.Knowledge.State, wantJob.Tasks.Summary.State = document.JobQueued, document.JobQueued
	if diff := cmp.Diff(document.Accepted{Document: wantDocument, Job: wantJob}, got, compactJSON()); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	if got.Document.ID.Version() != 7 || got.Job.ID.Version() != 7 {
		t.Errorf("ids %s and %s are not of version 7", got.Document.ID, got.Job.ID)
	}
	if diff := cmp.Diff(got.Document, readDocument(t, ctx, s, got.Document.ID), compactJSON()); diff != "" {
		t.Errorf("document (-accepted +read):\n%s", diff)
	}
	if diff := cmp.Diff(got.Job, readJob(t, ctx, s, got.Job.ID)); diff != "" {
		t.Errorf("job (-accepted +read):\n%s", diff)
	}
}

func acceptsNextVersions(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "accept")
	first := publishDocument(t, ctx, s, uploadOf(c, "next"), passageOf("one", 1, 0, 0))
	upload := uploadOf(c, "next")
	second := acceptUpload(t, ctx, s, upload)
	if second.Unchanged || second.Document.ID != first.Document.ID || second.Job.ID == first.Job.ID || second.Job.Version != 2 {
		t.Errorf("got %+v, want a job for version 2 of document %s", second, first.Document.ID)
	}
	// The answer is about what was accepted, but readers see the first version.
	d := second.Document
	if d.Version != 2 || d.Object != upload.Object || d.SHA256 != upload.SHA256 || d.State != document.DocumentReady {
		t.Errorf("answer: got %+v, want version 2, ready", d)
	}
	if d := readDocument(t, ctx, s, first.Document.ID); d.Version != 1 || d.State != document.DocumentReady || d.SHA256 == upload.SHA256 {
		t.Errorf("readers: got %+v, want version 1, ready", d)
	}
}

func acceptsAnyText(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "Ünïcode \u200b'\"; --")
	upload := uploadOf(c, "문서/文档/%_\\'\"{}$1?\u202e\U0001F600")
	upload.Title = "\u0001\t\r\n'; DROP TABLE documents; --\uFFFD"
	got := acceptUpload(t, ctx, s, upload).Document
	if got.Key != upload.Key || got.Title != upload.Title || got.Collection != c.Name {
		t.Errorf("got key %q, title %q, collection %q", got.Key, got.Title, got.Collection)
	}
}

func acceptsUnchangedDocuments(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "accept")
	upload := uploadOf(c, "unchanged")
	upload.Metadata = json.RawMessage(`{"a":1,"b":2}`)
	first := acceptUpload(t, ctx, s, upload)
	again := upload
	again.Object, again.Metadata = uuid.NewString(), json.RawMessage(` { "b" : 2, "a" : 1 } `)
	for _, stage := range []struct {
		name string
		do   func()
	}{
		{"queued", func() {}},
		{"published", func() { publishJob(t, ctx, s, first.Job, passageOf("one", 1, 0, 0)) }},
		{"succeeded", func() { finishSummary(t, ctx, s, first.Job, "summary") }},
	} {
		stage.do()
		got := acceptUpload(t, ctx, s, again)
		want := document.Accepted{Document: readDocument(t, ctx, s, first.Document.ID), Job: readJob(t, ctx, s, first.Job.ID), Unchanged: true}
		if diff := cmp.Diff(want, got, compactJSON()); diff != "" {
			t.Errorf("%s: answer (-want +got):\n%s", stage.name, diff)
		}
		if got.Document.Object != upload.Object {
			t.Errorf("%s: object: got that of the second upload", stage.name)
		}
	}
	if jobs := listJobs(t, ctx, s, document.JobFilter{DocumentID: first.Document.ID}, 10); len(jobs) != 1 {
		t.Errorf("got %d jobs, want 1", len(jobs))
	}
}

// Metadata is unchanged if every value is equal, whatever the order of its keys and the form of its
// numbers.
func acceptsUnchangedMetadata(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "accept")
	for _, test := range []struct {
		stored, uploaded string
		same             bool
	}{
		{`{"a":1}`, `{"a":1.0}`, true},
		{`{"a":1000}`, `{"a":1e3}`, true},
		{`{"a":-0}`, `{"a":0.00}`, true},
		{`{"a":{"b":[1,{"c":2}],"d":null}}`, `{"a":{"d":null,"b":[1.0,{"c":2.0}]}}`, true},
		{`{"a":9007199254740993}`, `{"a":9007199254740992}`, false},
		{`{"a":1}`, `{"a":"1"}`, false},
		{`{"a":1}`, `{"a":-1}`, false},
		{`{"a":true}`, `{"a":1}`, false},
		{`{"a":null}`, `{}`, false},
		{`{}`, `{"a":null}`, false},
		{`{"a":null}`, `{"b":null}`, false},
		{`{"a":[1,2]}`, `{"a":[2,1]}`, false},
		{`{"a":[1,1]}`, `{"a":[1]}`, false},
		{`{"a":[1]}`, `{"a":[1,1]}`, false},
		{`{"a":[1]}`, `{"a":1}`, false},
		{`{"a":{"b":1}}`, `{"a":{"b":1,"c":1}}`, false},
	} {
		upload := uploadOf(c, "metadata: "+test.stored+" "+test.uploaded)
		upload.Metadata = json.RawMessage(test.stored)
		acceptUpload(t, ctx, s, upload)
		again := upload
		again.Object, again.Metadata = uuid.NewString(), json.RawMessage(test.uploaded)
		got := acceptUpload(t, ctx, s, again)
		want := upload
		if !test.same {
			want = again
		}
		if got.Unchanged != test.same || got.Document.Object != want.Object {
			t.Errorf("%s after %s: unchanged: %t, want %t", test.uploaded, test.stored, got.Unchanged, test.same)
		}
		if diff := cmp.Diff(want.Metadata, got.Document.Metadata, compactJSON()); diff != "" {
			t.Errorf("%s after %s (-want +got):\n%s", test.uploaded, test.stored, diff)
		}
	}
}

func acceptsChangedDocuments(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "accept")
	first := uploadOf(c, "changed")
	version := acceptUpload(t, ctx, s, first).Document.Version
	for name, change := range map[string]func(u *original.Upload){
		"hash":       func(u *original.Upload) { u.SHA256 = uploadOf(c, "changed").SHA256 },
		"title":      func(u *original.Upload) { u.Title += "!" },
		"metadata":   func(u *original.Upload) { u.Metadata = json.RawMessage(`{"a":1}`) },
		"media type": func(u *original.Upload) { u.MediaType = "text/plain" },
		"own title":  func(u *original.Upload) { u.TitleFromKey = true },
	} {
		changed := first
		change(&changed)
		for _, upload := range []original.Upload{changed, first} { // only the newest version counts
			version++
			if got := acceptUpload(t, ctx, s, upload); got.Unchanged || got.Document.Version != version {
				t.Errorf("%s: got version %d, unchanged: %t; want a new version %d", name, got.Document.Version, got.Unchanged, version)
			}
		}
	}
}

func acceptsAgainWhatFailed(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "accept")
	for _, verdict := range []task.Verdict{task.VerdictFail, task.VerdictCancel} {
		upload := uploadOf(c, "ended: "+string(verdict))
		first := acceptUpload(t, ctx, s, upload)
		for _, kind := range task.JobKinds {
			recordOutcome(t, ctx, s, claimTask(t, ctx, s, first.Job, kind), task.Outcome{Verdict: verdict, Error: "broken"})
		}
		got := acceptUpload(t, ctx, s, upload)
		if got.Unchanged || got.Document.Version != 2 || got.Document.State != document.DocumentPending {
			t.Errorf("after %s: got version %d, %s, unchanged: %t; want version 2, pending",
				verdict, got.Document.Version, got.Document.State, got.Unchanged)
		}
	}
}

func acceptsUnderTheKeyOfADeletedDocument(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "accept")
	upload := uploadOf(c, "deleted")
	first := publishDocument(t, ctx, s, upload, passageOf("one", 1, 0, 0))
	if err := s.DeleteDocument(ctx, first.Document.ID); err != nil {
		t.Fatal(err)
	}
	got := acceptUpload(t, ctx, s, upload)
	if got.Unchanged || got.Document.ID == first.Document.ID || got.Document.Version != 1 || got.Document.State != document.DocumentPending {
		t.Errorf("got %+v, want a new document", got)
	}
}

func acceptsTheSameOnceAtOnce(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "accept")
	upload := uploadOf(c, "same at once")
	beginUpload(t, ctx, s, upload)
	got := make([]document.Accepted, 20)
	concurrently(t, len(got), func(i int) (err error) {
		got[i], err = s.AcceptUpload(ctx, upload)
		return err
	})
	changed := 0
	for _, a := range got {
		if !a.Unchanged {
			changed++
		}
		if a.Job.ID != got[0].Job.ID || a.Document.ID != got[0].Document.ID {
			t.Errorf("got job %s and %s", a.Job.ID, got[0].Job.ID)
		}
	}
	if changed != 1 {
		t.Errorf("%d of %d calls wrote something, want 1", changed, len(got))
	}
	if jobs := listJobs(t, ctx, s, document.JobFilter{DocumentID: got[0].Document.ID}, 10); len(jobs) != 1 {
		t.Errorf("got %d jobs, want 1", len(jobs))
	}
}

func acceptsDifferentOnesOneAfterAnother(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "accept")
	const n = 10
	versions := make([]int, n)
	concurrently(t, n, func(i int) error {
		upload := uploadOf(c, "different at once")
		if err := s.BeginUpload(ctx, upload.Object); err != nil {
			return err
		}
		accepted, err := s.AcceptUpload(ctx, upload)
		versions[i] = accepted.Document.Version
		return err
	})
	seen := map[int]bool{}
	for _, version := range versions {
		if seen[version] || version < 1 || version > n {
			t.Errorf("got versions %v, want each of 1 to %d once", versions, n)
		}
		seen[version] = true
	}
}
