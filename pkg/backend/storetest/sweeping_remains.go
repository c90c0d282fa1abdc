package storetest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
)

func remains(t *testing.T, ctx context.Context, s Store) []document.Remains {
	t.Helper()
	got, err := s.Remains(ctx, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(got, func(a, b document.Remains) int { return a.Version - b.Version })
	return got
}

func wantRemains(t *testing.T, ctx context.Context, s Store, when string, want ...document.Remains) {
	t.Helper()
	if diff := cmp.Diff(append([]document.Remains{}, want...), append([]document.Remains{}, remains(t, ctx, s)...)); diff != "" {
		t.Errorf("%s: remains (-want +got):\n%s", when, diff)
	}
}

func forget(t *testing.T, ctx context.Context, s Store, r document.Remains) {
	t.Helper()
	if err := s.Forget(ctx, r); err != nil {
		t.Fatal(err)
	}
}

func remainsAreSupersededVersions(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "c")
	upload := uploadOf(c, "a")
	first := accept(t, ctx, s, upload)
	publish(t, ctx, s, first.Job, passageOf("old", 1, 0, 0))
	second := accept(t, ctx, s, uploadOf(c, "a"))
	wantRemains(t, ctx, s, "while the first version is live")
	publish(t, ctx, s, second.Job, passageOf("new", 1, 0, 0))
	wantRemains(t, ctx, s, "while the first version's summary is to be made")
	ref := refOf(t, ctx, first.Job, document.Summarise)
	if _, err := s.Claim(ctx, ref, leaseTime); !fault.Is(err, fault.NotFound) {
		t.Fatalf("claim of a superseded task: got %v", err)
	}
	r := document.Remains{Document: first.Document.ID, Version: 1, Object: upload.Object}
	wantRemains(t, ctx, s, "once it was cancelled", r)
	if quiet, err := s.Remains(ctx, time.Hour, 100); err != nil || len(quiet) != 0 {
		t.Errorf("within an hour of the job's end: got %v, %v", quiet, err)
	}

	forget(t, ctx, s, r)
	wantRemains(t, ctx, s, "once it was forgotten")
	_, err := s.Job(ctx, first.Job.ID)
	wantFault(t, err, fault.NotFound)
	if got := listPassages(t, ctx, s, first.Document.ID, 10); len(got) != 1 || got[0].Content != "new" {
		t.Errorf("passages of the second version: got %v", got)
	}
	if d := readDocument(t, ctx, s, first.Document.ID); d.Version != 2 || d.State != document.Ready {
		t.Errorf("document: got version %d, %s", d.Version, d.State)
	}
	forget(t, ctx, s, r) // again is harmless
}

func remainsAreDeletedDocuments(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "c")
	one, two := uploadOf(c, "a"), uploadOf(c, "a")
	accepted := publishDocument(t, ctx, s, one, passageOf("gone", 1, 0, 0))
	id := accepted.Document.ID
	second := accept(t, ctx, s, two)
	claim(t, ctx, s, second.Job, document.Knowledge)
	kept := publishDocument(t, ctx, s, uploadOf(c, "b"), passageOf("kept", 1, 0, 0))
	if err := s.DeleteDocument(ctx, id); err != nil {
		t.Fatal(err)
	}
	first, last := document.Remains{Document: id, Version: 1, Object: one.Object}, document.Remains{Document: id, Version: 2, Object: two.Object}
	wantRemains(t, ctx, s, "deleted", first, last)

	forget(t, ctx, s, first)
	wantRemains(t, ctx, s, "one version forgotten", last)
	forget(t, ctx, s, last)
	wantRemains(t, ctx, s, "both forgotten")
	for _, job := range []document.Job{accepted.Job, second.Job} {
		_, err := s.Job(ctx, job.ID)
		wantFault(t, err, fault.NotFound)
	}
	if got := listPassages(t, ctx, s, kept.Document.ID, 10); len(got) != 1 {
		t.Errorf("passages of the document that stays: got %v", got)
	}
}

func remainsAreNeitherLiveNorNewest(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "c")
	publishDocument(t, ctx, s, uploadOf(c, "a"), passageOf("one", 1, 0, 0))
	wantRemains(t, ctx, s, "one version, live")
	second := accept(t, ctx, s, uploadOf(c, "a"))
	wantRemains(t, ctx, s, "a second under way")
	fail(t, ctx, s, second.Job)
	wantRemains(t, ctx, s, "the second failed")
}

// An object that several versions name is removed with the last of them, and not
// before.
func remainsKeepSharedObjects(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "c")
	upload := uploadOf(c, "a")
	accepted := publishDocument(t, ctx, s, upload, passageOf("one", 1, 0, 0))
	id := accepted.Document.ID
	again := func() {
		t.Helper()
		work, jobs := redo(t, ctx, s, document.ReindexRequest{Collection: c.Name, Force: true})
		if len(jobs) != 1 {
			t.Fatalf("got %d jobs, want 1", len(jobs))
		}
		publish(t, ctx, s, jobs[0], passageOf("one", 1, 0, 0))
		summarise(t, ctx, s, jobs[0], "summary")
		requeue(t, ctx, s, work, 10, document.Requeued{Ended: true})
	}
	again()
	first := document.Remains{Document: id, Version: 1}
	wantRemains(t, ctx, s, "the live version has the same original", first)
	again()
	wantRemains(t, ctx, s, "and so has one between", first, document.Remains{Document: id, Version: 2})
	forget(t, ctx, s, first)

	if err := s.DeleteDocument(ctx, id); err != nil {
		t.Fatal(err)
	}
	var objects []string
	for {
		found := remains(t, ctx, s)
		if len(found) == 0 {
			break
		}
		for _, r := range found {
			if r.Object != "" {
				objects = append(objects, r.Object)
			}
			forget(t, ctx, s, r)
		}
	}
	if diff := cmp.Diff([]string{upload.Object}, objects); diff != "" {
		t.Errorf("objects to remove once the document is deleted (-want +got):\n%s", diff)
	}
}

// A version between the live one and the newest may go, but not the original
// that it shares with the live one.
func remainsKeepTheLiveObject(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "c")
	upload := uploadOf(c, "a")
	publishDocument(t, ctx, s, upload, passageOf("one", 1, 0, 0))
	_, jobs := redo(t, ctx, s, document.ReindexRequest{Collection: c.Name, Force: true})
	for _, job := range jobs {
		fail(t, ctx, s, job)
	}
	accept(t, ctx, s, uploadOf(c, "a"))
	for _, r := range remains(t, ctx, s) {
		if r.Version != 2 || r.Object == upload.Object {
			t.Errorf("got %+v among the remains", r)
		}
	}
}

func remainsKeepToTheirLimit(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "c")
	for i := range 3 {
		accepted := accept(t, ctx, s, uploadOf(c, fmt.Sprint(i)))
		if err := s.DeleteDocument(ctx, accepted.Document.ID); err != nil {
			t.Fatal(err)
		}
	}
	for want := 2; want > 0; want-- { // 2 of 3, then the last
		got, err := s.Remains(ctx, 0, 2)
		if err != nil || len(got) != want {
			t.Fatalf("got %d remains, %v, want %d", len(got), err, want)
		}
		for _, r := range got {
			forget(t, ctx, s, r)
		}
	}
}
