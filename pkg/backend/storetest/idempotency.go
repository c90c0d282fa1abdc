package storetest

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
	"github.com/seed-7a112592/gristmill/pkg/tenant"
)

func idempotency(t *testing.T, open func(t *testing.T) Store) {
	for name, test := range map[string]func(*testing.T, context.Context, Store){
		"Replay":            replaysTheFirstAnswer,
		"Replay unchanged":  replaysThatNothingChanged,
		"Another request":   refusesAKeyForAnotherRequest,
		"Failures":          keepsNoFailures,
		"Same at once":      answersTheSameAtOnce,
		"Different at once": acceptsOneOfDifferentAtOnce,
		"Expire":            expiresKeys,
	} {
		t.Run(name, func(t *testing.T) { test(t, as(t, tenant.Default), open(t)) })
	}
}

// keyed returns an upload under an idempotency key whose fingerprint is its
// content's.
func keyed(c document.Collection, key, idempotencyKey string) document.Upload {
	upload := uploadOf(c, key)
	upload.Metadata = json.RawMessage(`{"n":1.50,"html":"<&>","text":"ä\u2028"}`)
	upload.IdempotencyKey, upload.Fingerprint = idempotencyKey, upload.SHA256
	return upload
}

// sentAgain returns the upload as it is when its client sends it again.
func sentAgain(upload document.Upload) document.Upload {
	upload.Object = uuid.NewString()
	return upload
}

// answerOf returns an answer as clients see it.
func answerOf(t *testing.T, accepted document.Accepted) string {
	t.Helper()
	text, err := json.Marshal(accepted)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// wantReplay checks that the upload gets the first answer again, and that
// nothing but the answer is made of it.
func wantReplay(t *testing.T, ctx context.Context, s Store, when string, first document.Accepted, again document.Upload) {
	t.Helper()
	if err := s.BeginUpload(ctx, again.Object); err != nil {
		t.Fatal(err)
	}
	got, err := s.Accept(ctx, again)
	if err != nil || !got.Replayed {
		t.Fatalf("%s: got %+v, %v, want a replay", when, got, err)
	}
	if diff := cmp.Diff(answerOf(t, first), answerOf(t, got)); diff != "" {
		t.Errorf("%s: answer (-first +replayed):\n%s", when, diff)
	}
	wantAbandoned(t, ctx, s, when+": its object is nobody's", again)
	unlistObjects(t, ctx, s)
}

func replaysTheFirstAnswer(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "c")
	upload := keyed(c, "a", "key")
	first := accept(t, ctx, s, upload)
	if first.Replayed || first.Unchanged {
		t.Fatalf("first: got %+v", first)
	}
	wantReplay(t, ctx, s, "at once", first, sentAgain(upload))
	publish(t, ctx, s, first.Job, passageOf("one", 1, 0, 0))
	wantReplay(t, ctx, s, "published", first, sentAgain(upload))

	accept(t, ctx, s, uploadOf(c, "a"))
	wantReplay(t, ctx, s, "when there is another version", first, sentAgain(upload))
	if jobs := listJobs(t, ctx, s, document.JobFilter{}, 10); len(jobs) != 2 {
		t.Errorf("got %d jobs, want 2", len(jobs))
	}

	if err := s.DeleteDocument(ctx, first.Document.ID); err != nil {
		t.Fatal(err)
	}
	wantReplay(t, ctx, s, "deleted", first, sentAgain(upload))
	collectVersions(t, ctx, s)
	unlistObjects(t, ctx, s)
	wantReplay(t, ctx, s, "gone", first, sentAgain(upload))
}

func replaysThatNothingChanged(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "c")
	upload := keyed(c, "a", "key")
	without := upload
	without.IdempotencyKey = ""
	accept(t, ctx, s, without)
	second := accept(t, ctx, s, sentAgain(upload))
	if !second.Unchanged || second.Replayed {
		t.Fatalf("got %+v, want it unchanged", second)
	}
	accept(t, ctx, s, uploadOf(c, "a"))
	wantReplay(t, ctx, s, "changed since", second, sentAgain(upload))
}

func refusesAKeyForAnotherRequest(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "c")
	first := accept(t, ctx, s, keyed(c, "a", "key"))
	other := keyed(c, "b", "key")
	note(t, ctx, s, other)
	_, err := s.Accept(ctx, other)
	wantFault(t, err, fault.Conflict)
	if jobs := listJobs(t, ctx, s, document.JobFilter{}, 10); len(jobs) != 1 || jobs[0] != first.Job.ID {
		t.Errorf("got jobs %v, want the first only", jobs)
	}
	wantAbandoned(t, ctx, s, "its object is nobody's", other)

	accept(t, ctx, s, keyed(c, "b", "Key")) // keys are not folded
	accept(t, ctx, s, uploadOf(c, "a"))     // and mean nothing to uploads without
}

func keepsNoFailures(t *testing.T, ctx context.Context, s Store) {
	upload := keyed(ensure(t, ctx, s, "c"), "a", "key")
	_, err := s.Accept(ctx, upload) // without a note
	wantFault(t, err, fault.NotFound)
	other := sentAgain(upload)
	other.Fingerprint = "another"
	if got := accept(t, ctx, s, other); got.Replayed || got.Unchanged {
		t.Errorf("after a failure: got %+v", got)
	}
}

func answersTheSameAtOnce(t *testing.T, ctx context.Context, s Store) {
	upload := keyed(ensure(t, ctx, s, "c"), "a", "key")
	got := make([]document.Accepted, 20)
	together(t, len(got), func(i int) (err error) {
		again := sentAgain(upload)
		if err := s.BeginUpload(ctx, again.Object); err != nil {
			return err
		}
		got[i], err = s.Accept(ctx, again)
		return err
	})
	replayed := 0
	for _, answer := range got {
		if answer.Replayed {
			replayed++
		}
		if diff := cmp.Diff(answerOf(t, got[0]), answerOf(t, answer)); diff != "" {
			t.Errorf("two callers got different answers:\n%s", diff)
		}
	}
	if jobs := listJobs(t, ctx, s, document.JobFilter{}, 10); len(jobs) != 1 || replayed != len(got)-1 {
		t.Errorf("got %d jobs and %d replays, want 1 and %d", len(jobs), replayed, len(got)-1)
	}
}

func acceptsOneOfDifferentAtOnce(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "c")
	const n = 10
	var accepted atomic.Int64
	together(t, n, func(i int) error {
		upload := keyed(c, fmt.Sprint(i), "key")
		if err := s.BeginUpload(ctx, upload.Object); err != nil {
			return err
		}
		_, err := s.Accept(ctx, upload)
		if err == nil {
			accepted.Add(1)
		}
		if fault.Is(err, fault.Conflict) {
			return nil
		}
		return err
	})
	if jobs := listJobs(t, ctx, s, document.JobFilter{}, 10); len(jobs) != 1 || accepted.Load() != 1 {
		t.Errorf("%d of %d accepted, %d jobs; want 1 and 1", accepted.Load(), n, len(jobs))
	}
}

func expiresKeys(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "c")
	upload := keyed(c, "0", "key 0")
	accept(t, ctx, s, upload)
	for i := range 2 {
		accept(t, ctx, s, keyed(c, fmt.Sprint(i+1), fmt.Sprint("key ", i+1)))
	}
	if got, err := s.DropIdempotencyKeys(ctx, time.Hour, 10); err != nil || got != 0 {
		t.Errorf("within the hour: %d expired, %v", got, err)
	}
	for i, want := range []int{2, 1, 0} {
		if got, err := s.DropIdempotencyKeys(ctx, 0, 2); err != nil || got != want {
			t.Errorf("call %d with a limit of 2: %d expired, %v, want %d", i+1, got, err, want)
		}
	}
	if got := accept(t, ctx, s, sentAgain(upload)); got.Replayed || !got.Unchanged {
		t.Errorf("once the key had expired: got %+v, want it unchanged", got)
	}
}
