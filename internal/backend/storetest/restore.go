package storetest

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Notes are listed of the whole tenant, so each test has its own store.
func restoring(t *testing.T, open func(t *testing.T) Store) {
	for name, test := range map[string]func(*testing.T, context.Context, Store){
		"Live":              restoresAPublishedVersion,
		"Shared":            restoresEveryVersionThatSharesTheObject,
		"Failed half":       restartsWhatHasFailed,
		"Running":           fencesWhoReadsTheLostObject,
		"Changed":           restoresNothingThatHasChanged,
		"Not noted":         restoresNothingWithoutAnUpload,
		"Beside a deletion": restoresOrDeletes,
		"At once":           restoresOnce,
	} {
		t.Run(name, func(t *testing.T) { test(t, tenantContext(t, tenant.Default), open(t)) })
	}
}

// sameContent returns another upload of the same content, noted.
func sameContent(t *testing.T, ctx context.Context, s Store, upload original.Upload) original.Upload {
	t.Helper()
	upload.Object, upload.ObjectETag = uuid.NewString(), "tag of the new object"
	beginUpload(t, ctx, s, upload)
	return upload
}

func restore(t *testing.T, ctx context.Context, s Store, id uuid.UUID, lost string, again original.Upload) document.Accepted {
	t.Helper()
	got, err := s.RestoreOriginal(ctx, id, lost, again)
	if err != nil {
		t.Fatal(err)
	}
	if !got.Unchanged || !got.Restored || got.Document.ID != id || got.Document.Object != again.Object || got.Document.ObjectETag != again.ObjectETag {
		t.Errorf("answer %+v", got)
	}
	if diff := cmp.Diff(readJob(t, ctx, s, got.Job.ID), got.Job); diff != "" {
		t.Errorf("the answer's job is not the job (-want +got):\n%s", diff)
	}
	return got
}

func restoresAPublishedVersion(t *testing.T, ctx context.Context, s Store) {
	upload := uploadOf(ensureCollection(t, ctx, s, "c"), "a")
	id := publishDocument(t, ctx, s, upload, passageOf("a", 1, 0, 0)).Document.ID
	kept := retainedVersionsOf(t, ctx, s, id)
	if err := s.RecordVersionCheck(ctx, kept[0], "tag", "the original is gone"); err != nil {
		t.Fatal(err)
	}
	again := sameContent(t, ctx, s, upload)
	got := restore(t, ctx, s, id, upload.Object, again)
	for _, kind := range task.JobKinds { // what has succeeded stays
		_, err := s.Claim(ctx, taskRefOf(t, ctx, got.Job, kind), leaseTime)
		if kind == task.KindKnowledge {
			wantFault(t, err, fault.NotFound)
		}
	}
	if d := readDocument(t, ctx, s, id); d.Object != again.Object || d.ObjectETag != again.ObjectETag || d.Damage != "" || d.Version != 1 || d.State != document.DocumentReady {
		t.Errorf("document %+v", d)
	}
	wantExpired(t, ctx, s, "the lost object is swept, the new one stays", upload)

	// The same bytes again are unchanged.
	third := sameContent(t, ctx, s, upload)
	if accepted, err := s.AcceptUpload(ctx, third); err != nil || !accepted.Unchanged || accepted.Document.Object != again.Object {
		t.Errorf("got %+v, %v", accepted, err)
	}
}

func restoresEveryVersionThatSharesTheObject(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "c")
	upload := uploadOf(c, "a")
	id := publishDocument(t, ctx, s, upload, passageOf("a", 1, 0, 0)).Document.ID
	// A reindex makes a version of the same object.
	runRequeue(t, ctx, s, document.ReindexRequest{Collection: "c", Force: true})
	again := sameContent(t, ctx, s, upload)
	got := restore(t, ctx, s, id, upload.Object, again)
	if got.Job.Version != 2 {
		t.Fatalf("the newest version is %d, want 2", got.Job.Version)
	}
	for _, kept := range retainedVersionsOf(t, ctx, s, id) {
		if kept.Original.Object != again.Object {
			t.Errorf("version %d still names %s", kept.Version, kept.Original.Object)
		}
	}
	wantExpired(t, ctx, s, "nothing names the lost object", upload)
}

func restartsWhatHasFailed(t *testing.T, ctx context.Context, s Store) {
	upload := uploadOf(ensureCollection(t, ctx, s, "c"), "a")
	job := acceptUpload(t, ctx, s, upload).Job
	work := claimTask(t, ctx, s, job, task.KindKnowledge)
	if err := s.RecordOutcome(ctx, work, task.Outcome{Verdict: task.VerdictFail, Error: "the original is damaged"}); err != nil {
		t.Fatal(err)
	}
	wantDocument(t, ctx, s, job.DocumentID, document.DocumentFailed, 1)
	got := restore(t, ctx, s, job.DocumentID, upload.Object, sameContent(t, ctx, s, upload))
	if got.Job.Tasks.Knowledge.State != document.JobQueued || got.Job.Tasks.Summary.State != document.JobQueued || got.Document.State != document.DocumentPending {
		t.Errorf("job %+v of a document that is %s", got.Job.Tasks, got.Document.State)
	}
	if due, err := s.Dispatch(ctx, map[task.Kind]int{task.KindKnowledge: 10}); err != nil || len(due) != 1 {
		t.Errorf("to be dispatched: %v, %v", due, err)
	}
}

func fencesWhoReadsTheLostObject(t *testing.T, ctx context.Context, s Store) {
	upload := uploadOf(ensureCollection(t, ctx, s, "c"), "a")
	job := acceptUpload(t, ctx, s, upload).Job
	reading := claimTask(t, ctx, s, job, task.KindKnowledge)
	again := sameContent(t, ctx, s, upload)
	restore(t, ctx, s, job.DocumentID, upload.Object, again)
	wantFault(t, s.RenewLease(ctx, reading, leaseTime), fault.LeaseLost)
	wantFault(t, s.RecordOutcome(ctx, reading, task.Outcome{Verdict: task.VerdictFail, Error: "the original is gone"}), fault.LeaseLost)
	if work := claimTask(t, ctx, s, job, task.KindKnowledge); work.Object != again.Object || work.Attempt != 1 || work.Crashes != 0 {
		t.Errorf("work %+v", work)
	}
}

func restoresNothingThatHasChanged(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "c")
	upload := uploadOf(c, "a")
	id := acceptUpload(t, ctx, s, upload).Document.ID
	other := uploadOf(c, "a")
	for name, test := range map[string]struct {
		id     uuid.UUID
		lost   string
		upload original.Upload
	}{
		"another object is lost": {id, uuid.NewString(), upload},
		"another content":        {id, upload.Object, other},
		"no document":            {uuid.New(), upload.Object, upload},
	} {
		again := sameContent(t, ctx, s, test.upload)
		_, err := s.RestoreOriginal(ctx, test.id, test.lost, again)
		if !fault.Is(err, fault.Conflict) {
			t.Errorf("%s: %v", name, err)
		}
		if err := s.AbortUpload(ctx, again.Object); err != nil {
			t.Fatal(err)
		}
	}
	again := sameContent(t, ctx, s, upload)
	if _, err := s.RestoreOriginal(tenantContext(t, OtherTenant), id, upload.Object, again); !fault.Is(err, fault.Conflict) {
		t.Errorf("another tenant's: %v", err)
	}
	acceptUpload(t, ctx, s, other)
	_, err := s.RestoreOriginal(ctx, id, upload.Object, again)
	wantFault(t, err, fault.Conflict)
	if err := s.DeleteDocument(ctx, id); err != nil {
		t.Fatal(err)
	}
	_, err = s.RestoreOriginal(ctx, id, other.Object, again)
	wantFault(t, err, fault.Conflict)
	wantExpired(t, ctx, s, "nothing was written", again)
}

func restoresNothingWithoutAnUpload(t *testing.T, ctx context.Context, s Store) {
	upload := uploadOf(ensureCollection(t, ctx, s, "c"), "a")
	id := acceptUpload(t, ctx, s, upload).Document.ID
	again := upload
	again.Object = uuid.NewString()
	_, err := s.RestoreOriginal(ctx, id, upload.Object, again)
	wantFault(t, err, fault.NotFound)
	if d := readDocument(t, ctx, s, id); d.Object != upload.Object {
		t.Errorf("the document names %s", d.Object)
	}
	wantExpired(t, ctx, s, "nothing was written")
}

// Whichever comes first, every object is either named by the document, among
// its remains, or noted: none is lost, and none is left behind.
func restoresOrDeletes(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "c")
	for i := range 10 {
		upload := uploadOf(c, fmt.Sprint(i))
		id := publishDocument(t, ctx, s, upload, passageOf(fmt.Sprint(i), 1, 0, 0)).Document.ID
		again := sameContent(t, ctx, s, upload)
		restored := false
		concurrently(t, 2, func(i int) error {
			if i == 0 {
				return s.DeleteDocument(ctx, id)
			}
			_, err := s.RestoreOriginal(ctx, id, upload.Object, again)
			restored = err == nil
			if fault.Is(err, fault.Conflict) {
				return nil
			}
			return err
		})
		named, noted := upload, again
		if restored {
			named, noted = again, upload
		}
		collectVersions(t, ctx, s)
		wantExpired(t, ctx, s, fmt.Sprintf("restored: %t", restored), named, noted)
		unlistObjects(t, ctx, s)
	}
}

// Of many who upload the same content at once, one restores it.
func restoresOnce(t *testing.T, ctx context.Context, s Store) {
	const n = 5
	upload := uploadOf(ensureCollection(t, ctx, s, "c"), "a")
	id := publishDocument(t, ctx, s, upload, passageOf("a", 1, 0, 0)).Document.ID
	var uploads [n]original.Upload
	for i := range uploads {
		uploads[i] = sameContent(t, ctx, s, upload)
	}
	var restored [n]bool
	concurrently(t, n, func(i int) error {
		_, err := s.RestoreOriginal(ctx, id, upload.Object, uploads[i])
		restored[i] = err == nil
		if fault.Is(err, fault.Conflict) {
			return nil
		}
		return err
	})
	object := readDocument(t, ctx, s, id).Object
	noted := []original.Upload{upload}
	for i, up := range uploads {
		if restored[i] != (up.Object == object) {
			t.Errorf("upload %d was restored: %t, and the document names %s", i, restored[i], object)
		}
		if !restored[i] {
			noted = append(noted, up)
		}
	}
	if len(noted) != n {
		t.Errorf("%d uploads were restored, want one", n+1-len(noted))
	}
	wantExpired(t, ctx, s, "all but the one that is named", noted...)
}
