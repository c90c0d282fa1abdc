package storetest

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// What is taken is taken of the whole tenant, so each test has its own store.
func outbox(t *testing.T, open func(t *testing.T) Store) {
	for name, test := range map[string]func(*testing.T, context.Context, Store){
		"Webhooks":          keepsWebhooks,
		"Webhooks limit":    limitsWebhooks,
		"Webhooks deleted":  deletesWebhooksWithDeliveries,
		"Events":            addsADeliveryForEveryWebhookAndEnd,
		"Event of any text": deliversAnyText,
		"Events deleting":   endsJobsWhileWebhooksGo,
		"Deliveries":        listsDeliveriesNewestFirst,
		"Take":              claimsDueDeliveries,
		"Take at once":      claimsDeliveriesOnceAtOnce,
		"Take fairly":       claimsDeliveriesOfEachWebhook,
		"Settle":            recordsDeliveryOutcomes,
		"Settle stale":      recordsNoDeliveryOutcomeOfOthers,
		"Drop":              deletesEndedDeliveries,
	} {
		t.Run(name, func(t *testing.T) { test(t, tenantContext(t, tenant.Default), open(t)) })
	}
}

// addWebhook adds a webhook that is like no other.
func addWebhook(t *testing.T, ctx context.Context, s Store) document.Webhook {
	t.Helper()
	id := uuid.Must(uuid.NewV7())
	webhook, err := s.AddWebhook(ctx, document.Webhook{ID: id, URL: "https://receiver.example/" + id.String(), Secret: document.NewWebhookSecret()})
	if err != nil {
		t.Fatal(err)
	}
	return webhook
}

func listWebhooks(t *testing.T, ctx context.Context, s Store, limit int) []document.Webhook {
	t.Helper()
	return listAll(t, limit, func(page document.Page) (document.List[document.Webhook], error) { return s.Webhooks(ctx, page) })
}

func listDeliveries(t *testing.T, ctx context.Context, s Store, webhook uuid.UUID) []document.Delivery {
	t.Helper()
	return listAll(t, 100, func(page document.Page) (document.List[document.Delivery], error) {
		return s.Deliveries(ctx, webhook, page)
	})
}

// claimDeliveries takes everything that is due.
func claimDeliveries(t *testing.T, ctx context.Context, s Store, ttl time.Duration) []task.Delivery {
	t.Helper()
	taken, err := s.ClaimDeliveries(ctx, nil, 100, ttl)
	if err != nil {
		t.Fatal(err)
	}
	return taken
}

// endJobs has n jobs fail.
func endJobs(t *testing.T, ctx context.Context, s Store, n int) {
	t.Helper()
	c := ensureCollection(t, ctx, s, "c")
	for range n {
		failJob(t, ctx, s, acceptUpload(t, ctx, s, uploadOf(c, uuid.NewString())).Job)
	}
}

func keepsWebhooks(t *testing.T, ctx context.Context, s Store) {
	if got := listWebhooks(t, ctx, s, 10); len(got) != 0 {
		t.Errorf("before any was added: got %v", got)
	}
	before := time.Now().Add(-time.Minute)
	var want []document.Webhook
	for range 3 {
		added := addWebhook(t, ctx, s)
		if added.CreatedAt.Before(before) {
			t.Errorf("created at %v", added.CreatedAt)
		}
		added.Secret = nil
		want = append([]document.Webhook{added}, want...)
	}
	for _, limit := range []int{1, 2, 3, 10} {
		if diff := cmp.Diff(want, listWebhooks(t, ctx, s, limit)); diff != "" {
			t.Errorf("%d a page, newest first and without secrets (-want +got):\n%s", limit, diff)
		}
	}
	_, err := s.Webhooks(ctx, document.Page{Limit: 1, Cursor: "not ours"})
	wantFault(t, err, fault.BadRequest)

	if err := s.DeleteWebhook(ctx, want[1].ID); err != nil {
		t.Fatal(err)
	}
	wantFault(t, s.DeleteWebhook(ctx, want[1].ID), fault.NotFound)
	if diff := cmp.Diff([]document.Webhook{want[0], want[2]}, listWebhooks(t, ctx, s, 10)); diff != "" {
		t.Errorf("after one was deleted (-want +got):\n%s", diff)
	}
}

func limitsWebhooks(t *testing.T, ctx context.Context, s Store) {
	added := make([]bool, 2*document.MaxWebhooks)
	concurrently(t, len(added), func(i int) error {
		_, err := s.AddWebhook(ctx, document.Webhook{ID: uuid.Must(uuid.NewV7()), URL: "https://receiver.example", Secret: document.NewWebhookSecret()})
		if added[i] = err == nil; fault.Is(err, fault.Conflict) {
			return nil
		}
		return err
	})
	have := listWebhooks(t, ctx, s, 100)
	if len(have) != document.MaxWebhooks {
		t.Errorf("got %d webhooks, want %d", len(have), document.MaxWebhooks)
	}
	endJobs(t, ctx, s, 1)
	if got := claimDeliveries(t, ctx, s, leaseTime); len(got) != len(have) {
		t.Errorf("got %d deliveries of one event to %d webhooks", len(got), len(have))
	}
	if err := s.DeleteWebhook(ctx, have[0].ID); err != nil {
		t.Fatal(err)
	}
	addWebhook(t, ctx, s)
}

func deletesWebhooksWithDeliveries(t *testing.T, ctx context.Context, s Store) {
	gone, kept := addWebhook(t, ctx, s), addWebhook(t, ctx, s)
	endJobs(t, ctx, s, 2)
	taken := claimDeliveries(t, ctx, s, leaseTime)
	if err := s.DeleteWebhook(ctx, gone.ID); err != nil {
		t.Fatal(err)
	}
	_, err := s.Deliveries(ctx, gone.ID, document.Page{Limit: 10})
	wantFault(t, err, fault.NotFound)
	if got := listDeliveries(t, ctx, s, kept.ID); len(got) != 2 {
		t.Errorf("got %d deliveries of the webhook that stays, want 2", len(got))
	}
	for _, o := range taken {
		err := s.RecordDeliveryOutcome(ctx, o, task.DeliveryOutcome{State: document.DeliveryDelivered, Status: 200})
		if o.WebhookID == gone.ID {
			wantFault(t, err, fault.LeaseLost)
		} else if err != nil {
			t.Error(err)
		}
	}
}

// addsADeliveryForEveryWebhookAndEnd ends jobs in every way there is.
func addsADeliveryForEveryWebhookAndEnd(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "c")
	publishDocument(t, ctx, s, uploadOf(c, "before"), passageOf("before", 1, 0, 0))
	webhooks := []document.Webhook{addWebhook(t, ctx, s), addWebhook(t, ctx, s)}
	if got := claimDeliveries(t, ctx, s, leaseTime); len(got) != 0 {
		t.Errorf("of what ended before there was a webhook: got %d deliveries", len(got))
	}
	told := func(state document.JobState, job document.Job, key string) {
		t.Helper()
		taken := claimDeliveries(t, ctx, s, leaseTime)
		if len(taken) != len(webhooks) || taken[0].WebhookID == taken[1].WebhookID {
			t.Fatalf("job %s: got %d deliveries %+v, want one for each of %d webhooks", state, len(taken), taken, len(webhooks))
		}
		ended := readJob(t, ctx, s, job.ID)
		for _, o := range taken {
			wantEvent(t, o, webhooks, ended, key, state)
		}
	}
	quiet := func(when string) {
		t.Helper()
		if taken := claimDeliveries(t, ctx, s, leaseTime); len(taken) != 0 {
			t.Fatalf("%s: got deliveries %+v", when, taken)
		}
	}

	job := acceptUpload(t, ctx, s, uploadOf(c, "succeeds")).Job
	publishJob(t, ctx, s, job, passageOf("one", 1, 0, 0))
	quiet("one task done, the other not begun")
	finishSummary(t, ctx, s, job, "summary")
	told(document.JobSucceeded, job, "succeeds")

	job = acceptUpload(t, ctx, s, uploadOf(c, "fails")).Job
	recordOutcome(t, ctx, s, claimTask(t, ctx, s, job, task.KindKnowledge), task.Outcome{Verdict: task.VerdictRetry, Error: "hiccup"})
	quiet("a task waits")
	failJob(t, ctx, s, job)
	told(document.JobFailed, job, "fails")

	accepted := acceptUpload(t, ctx, s, uploadOf(c, "deleted"))
	claimTask(t, ctx, s, accepted.Job, task.KindKnowledge)
	if err := s.DeleteDocument(ctx, accepted.Document.ID); err != nil {
		t.Fatal(err)
	}
	told(document.JobCancelled, accepted.Job, "deleted")

	job = acceptUpload(t, ctx, s, uploadOf(c, "steered")).Job
	cancel(t, ctx, s, job)
	told(document.JobCancelled, job, "steered")
	retry(t, ctx, s, job)
	quiet("retried")
	failJob(t, ctx, s, job)
	told(document.JobFailed, job, "steered")

	job = acceptUpload(t, ctx, s, uploadOf(c, "superseded")).Job
	acceptUpload(t, ctx, s, uploadOf(c, "superseded"))
	for _, kind := range task.JobKinds {
		_, err := s.Claim(ctx, taskRefOf(t, ctx, job, kind), leaseTime)
		wantFault(t, err, fault.NotFound)
	}
	told(document.JobCancelled, job, "superseded")
}

// wantEvent checks a delivery that was just taken against its job.
func wantEvent(t *testing.T, o task.Delivery, webhooks []document.Webhook, job document.Job, key string, state document.JobState) {
	t.Helper()
	var event document.Event
	decoder := json.NewDecoder(bytes.NewReader(o.Body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&event); err != nil {
		t.Fatalf("body %s: %v", o.Body, err)
	}
	want := document.Event{ID: o.ID, Type: "job." + string(state), CreatedAt: o.CreatedAt, Job: document.EndedJob{
		ID: job.ID, DocumentID: job.DocumentID, Collection: job.Collection, Key: key, Version: job.Version,
		State: state, Error: job.Error, CreatedAt: job.CreatedAt, FinishedAt: *job.FinishedAt,
	}}
	if diff := cmp.Diff(want, event); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
	if (job.Error == "") == bytes.Contains(o.Body, []byte(`"error"`)) {
		t.Errorf("job's error %q, body %s", job.Error, o.Body)
	}
	if o.ID.Version() != 7 || o.Event != event.Type || o.JobID != job.ID || o.DocumentID != job.DocumentID ||
		o.State != document.DeliveryPending || o.Attempts != 1 || o.Status != 0 || o.Error != "" || o.EndedAt != nil {
		t.Errorf("delivery: got %+v", o.Delivery)
	}
	for _, w := range webhooks {
		if w.ID == o.WebhookID && (w.URL != o.URL || !bytes.Equal(w.Secret, o.Secret)) {
			t.Errorf("to be sent to %s signed with %q, want %s and %q", o.URL, o.Secret, w.URL, w.Secret)
		}
	}
}

func deliversAnyText(t *testing.T, ctx context.Context, s Store) {
	addWebhook(t, ctx, s)
	const key = "a \"quoted\" \\ <b> \u2028 ключ"
	job := acceptUpload(t, ctx, s, uploadOf(ensureCollection(t, ctx, s, "c"), key)).Job
	for _, kind := range task.JobKinds {
		recordOutcome(t, ctx, s, claimTask(t, ctx, s, job, kind), task.Outcome{Verdict: task.VerdictFail, Error: "\x01\n\t\"' " + key})
	}
	for _, o := range claimDeliveries(t, ctx, s, leaseTime) {
		wantEvent(t, o, nil, readJob(t, ctx, s, job.ID), key, document.JobFailed)
	}
}

// A webhook that is deleted at the same moment must not keep a job from ending.
func endsJobsWhileWebhooksGo(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "c")
	for range 5 {
		webhook, kept := addWebhook(t, ctx, s), addWebhook(t, ctx, s)
		works := make([]task.Work, 4)
		for i := range works {
			job := acceptUpload(t, ctx, s, uploadOf(c, uuid.NewString())).Job
			recordOutcome(t, ctx, s, claimTask(t, ctx, s, job, task.KindKnowledge), task.Outcome{Verdict: task.VerdictFail})
			works[i] = claimTask(t, ctx, s, job, task.KindSummary)
		}
		concurrently(t, len(works)+1, func(i int) error {
			if i == len(works) {
				return s.DeleteWebhook(ctx, webhook.ID)
			}
			return s.RecordOutcome(ctx, works[i], task.Outcome{Verdict: task.VerdictFail, Error: "broken"})
		})
		if got := listDeliveries(t, ctx, s, kept.ID); len(got) != len(works) {
			t.Errorf("the webhook that stays has %d deliveries of %d jobs", len(got), len(works))
		}
		if err := s.DeleteWebhook(ctx, kept.ID); err != nil {
			t.Fatal(err)
		}
	}
}

func listsDeliveriesNewestFirst(t *testing.T, ctx context.Context, s Store) {
	webhook, other := addWebhook(t, ctx, s), addWebhook(t, ctx, s)
	c := ensureCollection(t, ctx, s, "c")
	var want []uuid.UUID // of jobs
	for range 3 {
		job := acceptUpload(t, ctx, s, uploadOf(c, uuid.NewString())).Job
		failJob(t, ctx, s, job)
		want = append([]uuid.UUID{job.ID}, want...)
	}
	for _, limit := range []int{1, 2, 3, 10} {
		var got []uuid.UUID
		for _, d := range listAll(t, limit, func(page document.Page) (document.List[document.Delivery], error) {
			return s.Deliveries(ctx, webhook.ID, page)
		}) {
			if d.WebhookID != webhook.ID {
				t.Errorf("got a delivery of another webhook: %+v", d)
			}
			got = append(got, d.JobID)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d a page (-want +got):\n%s", limit, diff)
		}
	}
	for id, kind := range map[uuid.UUID]fault.Kind{other.ID: fault.BadRequest, uuid.New(): fault.NotFound} {
		cursor := ""
		if kind == fault.BadRequest {
			cursor = "not ours"
		}
		_, err := s.Deliveries(ctx, id, document.Page{Limit: 1, Cursor: cursor})
		wantFault(t, err, kind)
	}
}

func claimsDueDeliveries(t *testing.T, ctx context.Context, s Store) {
	webhook := addWebhook(t, ctx, s)
	endJobs(t, ctx, s, 1)
	first := claimDeliveries(t, ctx, s, -leaseTime) // whoever took it has died since
	if len(first) != 1 {
		t.Fatalf("got %d deliveries, want 1", len(first))
	}
	again := claimDeliveries(t, ctx, s, leaseTime)
	if len(again) != 1 {
		t.Fatalf("after the time to live: got %d deliveries, want 1", len(again))
	}
	if again[0].ID != first[0].ID || !bytes.Equal(again[0].Body, first[0].Body) || again[0].Attempts != 2 {
		t.Errorf("got %+v, want the second attempt at %+v", again[0], first[0])
	}
	if got := claimDeliveries(t, ctx, s, leaseTime); len(got) != 0 {
		t.Errorf("within the time to live: got %+v", got)
	}
	listed := listDeliveries(t, ctx, s, webhook.ID)
	if len(listed) != 1 {
		t.Fatalf("listed: got %d deliveries", len(listed))
	}
	if next := listed[0].NextAttemptAt; next == nil || time.Until(*next) < leaseTime/2 || time.Until(*next) > 2*leaseTime {
		t.Errorf("next attempt at %v, want in %s", next, leaseTime)
	}
	if diff := cmp.Diff(again[0].Delivery, listed[0]); diff != "" {
		t.Errorf("taken and listed (-taken +listed):\n%s", diff)
	}
}

func claimsDeliveriesOnceAtOnce(t *testing.T, ctx context.Context, s Store) {
	addWebhook(t, ctx, s)
	endJobs(t, ctx, s, 20)
	taken := make([][]task.Delivery, 6)
	concurrently(t, len(taken), func(i int) (err error) {
		taken[i], err = s.ClaimDeliveries(ctx, nil, 5, leaseTime)
		return err
	})
	seen := map[uuid.UUID]bool{}
	for _, part := range append(taken, claimDeliveries(t, ctx, s, leaseTime)) {
		for _, o := range part {
			if seen[o.ID] || o.Attempts != 1 {
				t.Errorf("delivery %s was taken twice", o.ID)
			}
			seen[o.ID] = true
		}
	}
	if len(seen) != 20 {
		t.Errorf("took %d of 20 deliveries", len(seen))
	}
}

func claimsDeliveriesOfEachWebhook(t *testing.T, ctx context.Context, s Store) {
	webhooks := []document.Webhook{addWebhook(t, ctx, s), addWebhook(t, ctx, s), addWebhook(t, ctx, s)}
	endJobs(t, ctx, s, 3)
	taken, err := s.ClaimDeliveries(ctx, []uuid.UUID{webhooks[1].ID}, 2, leaseTime)
	if err != nil {
		t.Fatal(err)
	}
	got := map[uuid.UUID]int{}
	for _, o := range taken {
		got[o.WebhookID]++
	}
	if diff := cmp.Diff(map[uuid.UUID]int{webhooks[0].ID: 2, webhooks[2].ID: 2}, got); diff != "" {
		t.Errorf("at most 2 of each, and none of the busy one (-want +got):\n%s", diff)
	}
	for _, d := range listDeliveries(t, ctx, s, webhooks[0].ID)[:1] {
		if d.Attempts != 0 {
			t.Error("the newest was taken before the older ones")
		}
	}
}

func recordsDeliveryOutcomes(t *testing.T, ctx context.Context, s Store) {
	webhook := addWebhook(t, ctx, s)
	endJobs(t, ctx, s, 1)
	settle := func(outcome task.DeliveryOutcome) document.Delivery {
		t.Helper()
		taken := claimDeliveries(t, ctx, s, leaseTime)
		if len(taken) != 1 {
			t.Fatalf("got %d deliveries, want 1", len(taken))
		}
		if err := s.RecordDeliveryOutcome(ctx, taken[0], outcome); err != nil {
			t.Fatal(err)
		}
		got := listDeliveries(t, ctx, s, webhook.ID)[0]
		if got.State != outcome.State || got.Status != outcome.Status || got.Error != strings.Replace(outcome.Error, oddText, storedOddText, 1) || got.Attempts != taken[0].Attempts {
			t.Errorf("settled as %+v: got %+v", outcome, got)
		}
		return got
	}
	again := task.DeliveryOutcome{State: document.DeliveryPending, Status: 500, Error: "answered 500"}
	if got := settle(again); got.NextAttemptAt == nil || got.EndedAt != nil {
		t.Errorf("to be tried again: got %+v", got)
	}
	ended := settle(task.DeliveryOutcome{State: document.DeliveryDelivered, Status: 204})
	if ended.Attempts != 2 || ended.NextAttemptAt != nil || ended.EndedAt == nil || ended.EndedAt.Before(ended.CreatedAt) {
		t.Errorf("delivered: got %+v", ended)
	}

	endJobs(t, ctx, s, 1)
	again.Delay = leaseTime
	if got := settle(again); time.Until(*got.NextAttemptAt) < leaseTime/2 {
		t.Errorf("to be tried again in %s: got %+v", leaseTime, got)
	}
	endJobs(t, ctx, s, 1)
	if got := settle(task.DeliveryOutcome{State: document.DeliveryFailed, Error: oddText}); got.NextAttemptAt != nil || got.EndedAt == nil {
		t.Errorf("failed: got %+v", got)
	}
	if got := claimDeliveries(t, ctx, s, leaseTime); len(got) != 0 {
		t.Errorf("nothing is due: got %+v", got)
	}
}

// A sender that was stopped past its time must not undo what another wrote.
func recordsNoDeliveryOutcomeOfOthers(t *testing.T, ctx context.Context, s Store) {
	webhook := addWebhook(t, ctx, s)
	endJobs(t, ctx, s, 1)
	stale := claimDeliveries(t, ctx, s, -leaseTime)[0]
	current := claimDeliveries(t, ctx, s, leaseTime)[0]
	failed := task.DeliveryOutcome{State: document.DeliveryFailed, Error: "stale"}
	wantFault(t, s.RecordDeliveryOutcome(ctx, stale, failed), fault.LeaseLost)
	if err := s.RecordDeliveryOutcome(ctx, current, task.DeliveryOutcome{State: document.DeliveryDelivered, Status: 200}); err != nil {
		t.Fatal(err)
	}
	wantFault(t, s.RecordDeliveryOutcome(ctx, current, failed), fault.LeaseLost)
	if got := listDeliveries(t, ctx, s, webhook.ID)[0]; got.State != document.DeliveryDelivered {
		t.Errorf("got %+v, want it delivered", got)
	}
}

func deletesEndedDeliveries(t *testing.T, ctx context.Context, s Store) {
	webhook := addWebhook(t, ctx, s)
	endJobs(t, ctx, s, 4)
	outcomes := []document.DeliveryState{document.DeliveryDelivered, document.DeliveryFailed, document.DeliveryDelivered, document.DeliveryPending}
	for i, o := range claimDeliveries(t, ctx, s, leaseTime) {
		if err := s.RecordDeliveryOutcome(ctx, o, task.DeliveryOutcome{State: outcomes[i]}); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := s.DeleteEndedDeliveries(ctx, time.Hour, 10); err != nil || got != 0 {
		t.Errorf("ended less than an hour ago: dropped %d, %v", got, err)
	}
	for _, want := range []int{2, 1, 0} { // of three, at most two at a time
		if got, err := s.DeleteEndedDeliveries(ctx, 0, 2); err != nil || got != want {
			t.Errorf("dropped %d, %v; want %d", got, err, want)
		}
	}
	if left := listDeliveries(t, ctx, s, webhook.ID); len(left) != 1 || left[0].State != document.DeliveryPending {
		t.Errorf("left: got %+v, want the one that is pending", left)
	}
}
