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

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
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
		t.Run(name, func(t *testing.T) { test(t, tenantContext(t, tenant.Default), open(t)) })
	}
}

// uploadWithKey returns an upload under an idempotency key whose fingerprint is its
// content's.
func uploadWithKey(c vector.Collection, key, idempotencyKey string) original.Upload {
	upload := uploadOf(c, key)
	upload.Metadata = json.RawMessage(`{"n":1.50,"html":"<&>","text":"ä\u2028"}`)
	upload.IdempotencyKey, upload.Fingerprint = idempotencyKey, upload.SHA256
	return upload
}

// resend returns the upload as it is when its client sends it again.
func resend(upload original.Upload) original.Upload {
	upload.Object = uuid.NewString()
	return upload
}

// answerJSON returns an answer as clients see it.
func answerJSON(t *testing.T, accepted document.Accepted) string {
	t.Helper()
	text, err := json.Marshal(accepted)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// wantReplay checks that the upload gets the first answer again, and that
// nothing but the answer is made of it.
func wantReplay(t *testing.T, ctx context.Context, s Store, when string, first document.Accepted, again original.Upload) {
	t.Helper()
	if err := s.BeginUpload(ctx, again.Object); err != nil {
		t.Fatal(err)
	}
	got, err := s.AcceptUpload(ctx, again)
	if err != nil || !got.Replayed {
		t.Fatalf("%s: got %+v, %v, want a replay", when, got, err)
	}
	if diff := cmp.Diff(answerJSON(t, first), answerJSON(t, got)); diff != "" {
		t.Errorf("%s: answer (-first +replayed):\n%s", when, diff)
	}
	wantExpired(t, ctx, s, when+": its object is nobody's", again)
	unlistObjects(t, ctx, s)
}

func replaysTheFirstAnswer(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "c")
	upload := uploadWithKey(c, "a", "key")
	first := acceptUpload(t, ctx, s, upload)
	if first.Replayed || first.Unchanged {
		t.Fatalf("first: got %+v", first)
	}
	wantReplay(t, ctx, s, "at once", first, resend(upload))
	publishJob(t, ctx, s, first.Job, passageOf("one", 1, 0, 0))
	wantReplay(t, ctx, s, "published", first, resend(upload))

	acceptUpload(t, ctx, s, uploadOf(c, "a"))
	wantReplay(t, ctx, s, "when there is another version", first, resend(upload))
	if jobs := listJobs(t, ctx, s, document.JobFilter{}, 10); len(jobs) != 2 {
		t.Errorf("got %d jobs, want 2", len(jobs))
	}

	if err := s.DeleteDocument(ctx, first.Document.ID); err != nil {
		t.Fatal(err)
	}
	wantReplay(t, ctx, s, "deleted", first, resend(upload))
	collectVersions(t, ctx, s)
	unlistObjects(t, ctx, s)
	wantReplay(t, ctx, s, "gone", first, resend(upload))
}

func replaysThatNothingChanged(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "c")
	upload := uploadWithKey(c, "a", "key")
	without := upload
	without.IdempotencyKey = ""
	acceptUpload(t, ctx, s, without)
	second := acceptUpload(t, ctx, s, resend(upload))
	if !second.Unchanged || second.Replayed {
		t.Fatalf("got %+v, want it unchanged", second)
	}
	acceptUpload(t, ctx, s, uploadOf(c, "a"))
	wantReplay(t, ctx, s, "changed since", second, resend(upload))
}

func refusesAKeyForAnotherRequest(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "c")
	first := acceptUpload(t, ctx, s, uploadWithKey(c, "a", "key"))
	other := uploadWithKey(c, "b", "key")
	beginUpload(t, ctx, s, other)
	_, err := s.AcceptUpload(ctx, other)
	wantFault(t, err, fault.Conflict)
	if jobs := listJobs(t, ctx, s, document.JobFilter{}, 10); len(jobs) != 1 || jobs[0] != first.Job.ID {
		t.Errorf("got jobs %v, want the first only", jobs)
	}
	wantExpired(t, ctx, s, "its object is nobody's", other)

	acceptUpload(t, ctx, s, uploadWithKey(c, "b", "Key")) // keys are not folded
	acceptUpload(t, ctx, s, uploadOf(c, "a"))             // and mean nothing to uploads without
}

func keepsNoFailures(t *testing.T, ctx context.Context, s Store) {
	upload := uploadWithKey(ensureCollection(t, ctx, s, "c"), "a", "key")
	_, err := s.AcceptUpload(ctx, upload) // without a note
	wantFault(t, err, fault.NotFound)
	other := resend(upload)
	other.Fingerprint = "another"
	if got := acceptUpload(t, ctx, s, other); got.Replayed || got.Unchanged {
		t.Errorf("after a failure: got %+v", got)
	}
}

func answersTheSameAtOnce(t *testing.T, ctx context.Context, s Store) {
	upload := uploadWithKey(ensureCollection(t, ctx, s, "c"), "a", "key")
	got := make([]document.Accepted, 20)
	concurrently(t, len(got), func(i int) (err error) {
		again := resend(upload)
		if err := s.BeginUpload(ctx, again.Object); err != nil {
			return err
		}
		got[i], err = s.AcceptUpload(ctx, again)
		return err
	})
	replayed := 0
	for _, answer := range got {
		if answer.Replayed {
			replayed++
		}
		if diff := cmp.Diff(answerJSON(t, got[0]), answerJSON(t, answer)); diff != "" {
			t.Errorf("two callers got different answers:\n%s", diff)
		}
	}
	if jobs := listJobs(t, ctx, s, document.JobFilter{}, 10); len(jobs) != 1 || replayed != len(got)-1 {
		t.Errorf("got %d jobs and %d replays, want 1 and %d", len(jobs), replayed, len(got)-1)
	}
}

func acceptsOneOfDifferentAtOnce(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "c")
	const n = 10
	var accepted atomic.Int64
	concurrently(t, n, func(i int) error {
		upload := uploadWithKey(c, fmt.Sprint(i), "key")
		if err := s.BeginUpload(ctx, upload.Object); err != nil {
			return err
		}
		_, err := s.AcceptUpload(ctx, upload)
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
	c := ensureCollection(t, ctx, s, "c")
	upload := uploadWithKey(c, "0", "key 0")
	acceptUpload(t, ctx, s, upload)
	for i := range 2 {
		acceptUpload(t, ctx, s, uploadWithKey(c, fmt.Sprint(i+1), fmt.Sprint("key ", i+1)))
	}
	if got, err := s.DeleteExpiredIdempotencyKeys(ctx, time.Hour, 10); err != nil || got != 0 {
		t.Errorf("within the hour: %d expired, %v", got, err)
	}
	for i, want := range []int{2, 1, 0} {
		if got, err := s.DeleteExpiredIdempotencyKeys(ctx, 0, 2); err != nil || got != want {
			t.Errorf("call %d with a limit of 2: %d expired, %v, want %d", i+1, got, err, want)
		}
	}
	if got := acceptUpload(t, ctx, s, resend(upload)); got.Replayed || !got.Unchanged {
		t.Errorf("once the key had expired: got %+v, want it unchanged", got)
	}
}
