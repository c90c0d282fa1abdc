package storetest

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
	"github.com/seed-7a112592/gristmill/pkg/tenant"
)

// Notes are listed of the whole tenant, so each test has its own store.
func restoring(t *testing.T, open func(t *testing.T) Store) {
	for name, test := range map[string]func(*testing.T, context.Context, Store){
		"Live":              restoresALiveVersion,
		"Shared":            restoresEveryVersionThatSharesTheObject,
		"Failed half":       restartsWhatHasFailed,
		"Running":           fencesWhoReadsTheLostObject,
		"Changed":           restoresNothingThatHasChanged,
		"Not noted":         restoresNothingWithoutANote,
		"Beside a deletion": restoresOrDeletes,
		"At once":           restoresOnce,
	} {
		t.Run(name, func(t *testing.T) { test(t, as(t, tenant.Default), open(t)) })
	}
}

// sameAs returns another upload of the same content, noted.
func sameAs(t *testing.T, ctx context.Context, s Store, upload document.Upload) document.Upload {
	t.Helper()
	upload.Object, upload.Tag = uuid.NewString(), "tag of the new object"
	note(t, ctx, s, upload)
	return upload
}

func restore(t *testing.T, ctx context.Context, s Store, id uuid.UUID, lost string, again document.Upload) document.Accepted {
	t.Helper()
	got, err := s.Restore(ctx, id, lost, again)
	if err != nil {
		t.Fatal(err)
	}
	if !got.Unchanged || !got.Restored || got.Document.ID != id || got.Document.Object != again.Object || got.Document.Tag != again.Tag {
		t.Errorf("answer %+v", got)
	}
	if diff := cmp.Diff(readJob(t, ctx, s, got.Job.ID), got.Job); diff != "" {
		t.Errorf("the answer's job is not the job (-want +got):\n%s", diff)
	}
	return got
}

func restoresALiveVersion(t *testing.T, ctx context.Context, s Store) {
	upload := uploadOf(ensure(t, ctx, s, "c"), "a")
	id := publishDocument(t, ctx, s, upload, passageOf("a", 1, 0, 0)).Document.ID
	kept := keptOf(t, ctx, s, id)
	if err := s.Compared(ctx, kept[0], "tag", "the original is gone"); err != nil {
		t.Fatal(err)
	}
	again := sameAs(t, ctx, s, upload)
	got := restore(t, ctx, s, id, upload.Object, again)
	for _, kind := range document.TaskKinds { // what has succeeded stays
		_, err := s.Claim(ctx, refOf(t, ctx, got.Job, kind), leaseTime)
		if kind == document.Knowledge {
			wantFault(t, err, fault.NotFound)
		}
	}
	if d := readDocument(t, ctx, s, id); d.Object != again.Object || d.Tag != again.Tag || d.Damaged != "" || d.Version != 1 || d.State != document.Ready {
		t.Errorf("document %+v", d)
	}
	wantAbandoned(t, ctx, s, "the lost object is swept, the new one stays", upload)

	// The same bytes again are unchanged.
	third := sameAs(t, ctx, s, upload)
	if accepted, err := s.Accept(ctx, third); err != nil || !accepted.Unchanged || accepted.Document.Object != again.Object {
		t.Errorf("got %+v, %v", accepted, err)
	}
}

func restoresEveryVersionThatSharesTheObject(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "c")
	upload := uploadOf(c, "a")
	id := publishDocument(t, ctx, s, upload, passageOf("a", 1, 0, 0)).Document.ID
	// A reindex makes a version of the same object.
	redo(t, ctx, s, document.ReindexRequest{Collection: "c", Force: true})
	again := sameAs(t, ctx, s, upload)
	got := restore(t, ctx, s, id, upload.Object, again)
	if got.Job.Version != 2 {
		t.Fatalf("the newest version is %d, want 2", got.Job.Version)
	}
	for _, kept := range keptOf(t, ctx, s, id) {
		if kept.Original.Object != again.Object {
			t.Errorf("version %d still names %s", kept.Version, kept.Original.Object)
		}
	}
	wantAbandoned(t, ctx, s, "nothing names the lost object", upload)
}

func restartsWhatHasFailed(t *testing.T, ctx context.Context, s Store) {
	upload := uploadOf(ensure(t, ctx, s, "c"), "a")
	job := accept(t, ctx, s, upload).Job
	work := claim(t, ctx, s, job, document.Knowledge)
	if err := s.Settle(ctx, work, document.Outcome{Verdict: document.VerdictFail, Error: "the original is damaged"}); err != nil {
		t.Fatal(err)
	}
	wantDocument(t, ctx, s, job.DocumentID, document.Failed, 1)
	got := restore(t, ctx, s, job.DocumentID, upload.Object, sameAs(t, ctx, s, upload))
	if got.Job.Tasks.Knowledge.State != document.Queued || got.Job.Tasks.Summary.State != document.Queued || got.Document.State != document.Pending {
		t.Errorf("job %+v of a document that is %s", got.Job.Tasks, got.Document.State)
	}
	if due, err := s.Dispatch(ctx, map[document.TaskKind]int{document.Knowledge: 10}); err != nil || len(due) != 1 {
		t.Errorf("to be dispatched: %v, %v", due, err)
	}
}

func fencesWhoReadsTheLostObject(t *testing.T, ctx context.Context, s Store) {
	upload := uploadOf(ensure(t, ctx, s, "c"), "a")
	job := accept(t, ctx, s, upload).Job
	reading := claim(t, ctx, s, job, document.Knowledge)
	again := sameAs(t, ctx, s, upload)
	restore(t, ctx, s, job.DocumentID, upload.Object, again)
	wantFault(t, s.Renew(ctx, reading, leaseTime), fault.LeaseLost)
	wantFault(t, s.Settle(ctx, reading, document.Outcome{Verdict: document.VerdictFail, Error: "the original is gone"}), fault.LeaseLost)
	if work := claim(t, ctx, s, job, document.Knowledge); work.Object != again.Object || work.Attempt != 1 || work.Crashes != 0 {
		t.Errorf("work %+v", work)
	}
}

func restoresNothingThatHasChanged(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "c")
	upload := uploadOf(c, "a")
	id := accept(t, ctx, s, upload).Document.ID
	other := uploadOf(c, "a")
	for name, test := range map[string]struct {
		id     uuid.UUID
		lost   string
		upload document.Upload
	}{
		"another object is lost": {id, uuid.NewString(), upload},
		"another content":        {id, upload.Object, other},
		"no document":            {uuid.New(), upload.Object, upload},
	} {
		again := sameAs(t, ctx, s, test.upload)
		_, err := s.Restore(ctx, test.id, test.lost, again)
		if !fault.Is(err, fault.Conflict) {
			t.Errorf("%s: %v", name, err)
		}
		if err := s.EndUpload(ctx, again.Object); err != nil {
			t.Fatal(err)
		}
	}
	again := sameAs(t, ctx, s, upload)
	if _, err := s.Restore(as(t, Other), id, upload.Object, again); !fault.Is(err, fault.Conflict) {
		t.Errorf("another tenant's: %v", err)
	}
	accept(t, ctx, s, other)
	_, err := s.Restore(ctx, id, upload.Object, again)
	wantFault(t, err, fault.Conflict)
	if err := s.DeleteDocument(ctx, id); err != nil {
		t.Fatal(err)
	}
	_, err = s.Restore(ctx, id, other.Object, again)
	wantFault(t, err, fault.Conflict)
	wantAbandoned(t, ctx, s, "nothing was written", again)
}

func restoresNothingWithoutANote(t *testing.T, ctx context.Context, s Store) {
	upload := uploadOf(ensure(t, ctx, s, "c"), "a")
	id := accept(t, ctx, s, upload).Document.ID
	again := upload
	again.Object = uuid.NewString()
	_, err := s.Restore(ctx, id, upload.Object, again)
	wantFault(t, err, fault.NotFound)
	if d := readDocument(t, ctx, s, id); d.Object != upload.Object {
		t.Errorf("the document names %s", d.Object)
	}
	wantAbandoned(t, ctx, s, "nothing was written")
}

// Whichever comes first, every object is either named by the document, among
// its remains, or noted: none is lost, and none is left behind.
func restoresOrDeletes(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "c")
	for i := range 10 {
		upload := uploadOf(c, fmt.Sprint(i))
		id := publishDocument(t, ctx, s, upload, passageOf(fmt.Sprint(i), 1, 0, 0)).Document.ID
		again := sameAs(t, ctx, s, upload)
		restored := false
		together(t, 2, func(i int) error {
			if i == 0 {
				return s.DeleteDocument(ctx, id)
			}
			_, err := s.Restore(ctx, id, upload.Object, again)
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
		wantAbandoned(t, ctx, s, fmt.Sprintf("restored: %t", restored), named, noted)
		unlistObjects(t, ctx, s)
	}
}

// Of many who upload the same content at once, one restores it.
func restoresOnce(t *testing.T, ctx context.Context, s Store) {
	const n = 5
	upload := uploadOf(ensure(t, ctx, s, "c"), "a")
	id := publishDocument(t, ctx, s, upload, passageOf("a", 1, 0, 0)).Document.ID
	var uploads [n]document.Upload
	for i := range uploads {
		uploads[i] = sameAs(t, ctx, s, upload)
	}
	var restored [n]bool
	together(t, n, func(i int) error {
		_, err := s.Restore(ctx, id, upload.Object, uploads[i])
		restored[i] = err == nil
		if fault.Is(err, fault.Conflict) {
			return nil
		}
		return err
	})
	object := readDocument(t, ctx, s, id).Object
	noted := []document.Upload{upload}
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
	wantAbandoned(t, ctx, s, "all but the one that is named", noted...)
}
