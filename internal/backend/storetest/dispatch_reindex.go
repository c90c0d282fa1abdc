package storetest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

func dispatchingReindexes(t *testing.T, open func(t *testing.T) Store) {
	for name, test := range map[string]func(*testing.T, context.Context, Store){
		"Dispatch":        dispatchesReindexes,
		"Dispatch resume": dispatchesResumedReindexes,
		"Dispatch revert": dispatchesWhatReverts,
		"Due":             reindexesAreOverdue,
		"Backlog":         reindexesAreNoBacklog,
	} {
		t.Run(name, func(t *testing.T) { test(t, tenantContext(t, tenant.Default), open(t)) })
	}
}

// reindexDispatchName names a reindex as it is dispatched.
func reindexDispatchName(t *testing.T, ctx context.Context, id uuid.UUID, round int) string {
	t.Helper()
	return dispatchNames([]task.Dispatch{{Ref: reindexRef(t, ctx, id), Round: round}})[0]
}

func dispatchesReindexes(t *testing.T, ctx context.Context, s Store) {
	var ids []uuid.UUID
	for _, name := range []string{"one", "two", "three", "four"} {
		ids = append(ids, beginReindex(t, ctx, s, changeModelRequest(ensureCollection(t, ctx, s, name))).ID)
	}
	job := acceptUpload(t, ctx, s, uploadOf(ensureCollection(t, ctx, s, "one"), "a")).Job
	other := tenantContext(t, OtherTenant)
	theirs := beginReindex(t, other, s, changeModelRequest(ensureCollection(t, other, s, "one"))).ID
	next := func(when string, window int, want ...int) {
		t.Helper()
		names := []string{}
		for _, i := range want {
			names = append(names, reindexDispatchName(t, ctx, ids[i], 0))
		}
		wantDispatched(t, when, dispatch(t, ctx, s, task.KindReindex, window), names...)
	}
	next("no window", 0)
	next("a window of 2", 2, 0, 1)
	next("a full window", 2)
	wantDispatched(t, "tasks of jobs", dispatch(t, ctx, s, task.KindKnowledge, 10), dispatchName(t, ctx, job, task.KindKnowledge, 0))
	wantDispatched(t, "another tenant's", dispatch(t, other, s, task.KindReindex, 1), reindexDispatchName(t, other, theirs, 0))
	work := claimReindex(t, ctx, s, ids[0])
	next("one is running", 2)
	if err := s.ActivateSpace(ctx, work, leaseTime, document.ReindexProgress{}); err != nil {
		t.Fatal(err)
	}
	next("one is done", 2, 2)
	controlReindex(t, ctx, s, s.PauseReindex, ids[1])
	next("one is paused", 2, 3) // which may be for days
	controlReindex(t, ctx, s, s.PauseReindex, ids[3])
	cancelReindex(t, ctx, s, ids[1], leaseTime)
	cancelReindex(t, ctx, s, ids[2], leaseTime)
	next("what is left is paused", 10)
	controlReindex(t, ctx, s, s.ResumeReindex, ids[3])
	if got := dispatch(t, ctx, s, task.KindReindex, 10); len(got) != 1 {
		t.Errorf("and resumed: got %q, want it", got)
	}
}

// The queue may still hold the entry of before.
func dispatchesResumedReindexes(t *testing.T, ctx context.Context, s Store) {
	id := beginReindex(t, ctx, s, changeModelRequest(ensureCollection(t, ctx, s, "c"))).ID
	seen := dispatch(t, ctx, s, task.KindReindex, 1)
	claimed := func() { claimReindex(t, ctx, s, id) }
	failed := func() {
		recordOutcome(t, ctx, s, claimReindex(t, ctx, s, id), task.Outcome{Verdict: task.VerdictFail, Error: "broken"})
	}
	for i, before := range []func(){func() {}, claimed, failed} {
		before()
		if readReindex(t, ctx, s, id).State != document.JobFailed {
			controlReindex(t, ctx, s, s.PauseReindex, id)
			wantDispatched(t, "paused", dispatch(t, ctx, s, task.KindReindex, 10))
		}
		controlReindex(t, ctx, s, s.ResumeReindex, id)
		got := dispatch(t, ctx, s, task.KindReindex, 1)
		if len(got) != 1 || slices.Contains(seen, got[0]) {
			t.Errorf("resumed %d: got %q, want it in another round than %q", i, got, seen)
		}
		seen = append(seen, got...)
	}
}

func dispatchesWhatReverts(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "c")
	r := beginReindex(t, ctx, s, changeModelRequest(c))
	seen := dispatch(t, ctx, s, task.KindReindex, 1)
	work := claimReindex(t, ctx, s, r.ID)
	activateSpace(t, ctx, s, work, leaseTime)
	publishTexts(t, ctx, s, c, "a", "one")
	revertReindex(t, ctx, s, r.ID, leaseTime)
	got := dispatch(t, ctx, s, task.KindReindex, 1)
	if len(got) != 1 || slices.Contains(seen, got[0]) {
		t.Errorf("got %q, want it in another round than %q", got, seen)
	}
}

func reindexesAreOverdue(t *testing.T, ctx context.Context, s Store) {
	id := beginReindex(t, ctx, s, changeModelRequest(ensureCollection(t, ctx, s, "c"))).ID
	wantOverdue(t, ctx, s, "not dispatched")
	dispatch(t, ctx, s, task.KindReindex, 1)
	if got := redispatchOverdue(t, ctx, s, time.Hour, 10); len(got) > 0 {
		t.Errorf("just dispatched: got %q", got)
	}
	wantOverdue(t, ctx, s, "dispatched too long ago", reindexDispatchName(t, ctx, id, 0))
	acceptUpload(t, ctx, s, uploadOf(ensureCollection(t, ctx, s, "c"), "a"))
	dispatchAll(t, ctx, s)
	if got := redispatchOverdue(t, ctx, s, -leaseTime, 2); len(got) != 2 {
		t.Errorf("due with two tasks, at most 2: got %q", got)
	}
	if err := s.DeleteDocument(ctx, documentOf(t, ctx, s, ensureCollection(t, ctx, s, "c"), "a")); err != nil {
		t.Fatal(err)
	}

	work, err := s.Claim(ctx, reindexRef(t, ctx, id), -leaseTime)
	if err != nil {
		t.Fatal(err)
	}
	wantOverdue(t, ctx, s, "its lease ran out", reindexDispatchName(t, ctx, id, 1))
	if err := s.RenewLease(ctx, work, leaseTime); err != nil {
		t.Fatal(err)
	}
	wantOverdue(t, ctx, s, "it is running")
	recordOutcome(t, ctx, s, work, task.Outcome{Verdict: task.VerdictWait, Error: "down", Delay: 2 * leaseTime})
	wantOverdue(t, ctx, s, "it waits")
	if got := redispatchOverdue(t, ctx, s, -3*leaseTime, 10); len(got) != 1 {
		t.Errorf("due within three hours: got %q, want it", got)
	}
	controlReindex(t, ctx, s, s.PauseReindex, id)
	if got := redispatchOverdue(t, ctx, s, -3*leaseTime, 10); len(got) != 0 {
		t.Errorf("paused: got %q", got)
	}
	controlReindex(t, ctx, s, s.ResumeReindex, id)
	wantOverdue(t, ctx, s, "resumed, not dispatched")
	dispatch(t, ctx, s, task.KindReindex, 1)
	cancelReindex(t, ctx, s, id, leaseTime)
	wantOverdue(t, ctx, s, "cancelled")
}

func reindexesAreNoBacklog(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "c")
	beginReindex(t, ctx, s, changeModelRequest(c))
	wantBacklog(t, ctx, s, "a reindex", task.Backlog{})
	if got := listJobs(t, ctx, s, document.JobFilter{}, 10); len(got) > 0 {
		t.Errorf("jobs: got %s", got)
	}
}
