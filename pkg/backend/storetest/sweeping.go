package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/tenant"
)

// A sweep takes all that there is of a tenant, so each test has its own store.
func sweeping(t *testing.T, open func(t *testing.T) Store) {
	for name, test := range map[string]func(*testing.T, context.Context, Store){
		"Tenants":               listsTenants,
		"Due queued":            queuedTasksAreDueWhenIdle,
		"Due waiting":           waitingTasksAreDueInTime,
		"Due running":           runningTasksAreDueWithoutALease,
		"Due ended":             endedTasksAreNotDue,
		"Due limit":             dueKeepsToItsLimit,
		"Remains superseded":    remainsAreSupersededVersions,
		"Remains deleted":       remainsAreDeletedDocuments,
		"Remains live":          remainsAreNeitherLiveNorNewest,
		"Remains shared object": remainsKeepSharedObjects,
		"Remains live object":   remainsKeepTheLiveObject,
		"Remains limit":         remainsKeepToTheirLimit,
		"Orphans":               dropsOrphansOnly,
		"Orphans under way":     dropsNoOrphanThatMayBePlacedAgain,
		"Orphans concurrently":  dropsNoPassageThatIsBeingPlaced,
		"Exclusively":           excludes,
	} {
		t.Run(name, func(t *testing.T) { test(t, as(t, tenant.Default), open(t)) })
	}
}

func listsTenants(t *testing.T, ctx context.Context, s Store) {
	got, err := s.Tenants(t.Context()) // works for nobody in particular
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	if diff := cmp.Diff([]string{tenant.Default, Other}, got); diff != "" {
		t.Errorf("tenants (-want +got):\n%s", diff)
	}
}

// due returns the due tasks in the order of their names.
func due(t *testing.T, ctx context.Context, s Store, idle time.Duration, limit int) []string {
	t.Helper()
	refs, err := s.Due(ctx, idle, limit)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, ref := range refs {
		names = append(names, ref.Tenant+"/"+ref.String())
	}
	slices.Sort(names)
	return names
}

// wantDue checks that exactly these tasks are due to be dispatched, however
// recently they were.
func wantDue(t *testing.T, ctx context.Context, s Store, when string, want ...document.TaskRef) {
	t.Helper()
	names := []string{}
	for _, ref := range want {
		names = append(names, ref.Tenant+"/"+ref.String())
	}
	slices.Sort(names)
	if diff := cmp.Diff(names, due(t, ctx, s, -leaseTime, 100)); diff != "" {
		t.Errorf("%s: due (-want +got):\n%s", when, diff)
	}
}

func queuedTasksAreDueWhenIdle(t *testing.T, ctx context.Context, s Store) {
	job := accept(t, ctx, s, uploadOf(ensure(t, ctx, s, "c"), "a")).Job
	if got := due(t, ctx, s, time.Hour, 10); len(got) > 0 {
		t.Errorf("just accepted, and so dispatched: got %q", got)
	}
	wantDue(t, ctx, s, "dispatched too long ago",
		refOf(t, ctx, job, document.Knowledge), refOf(t, ctx, job, document.Summarise))
	if got := due(t, ctx, s, time.Hour, 10); len(got) > 0 {
		t.Errorf("just dispatched: got %q", got)
	}
}

func waitingTasksAreDueInTime(t *testing.T, ctx context.Context, s Store) {
	job := accept(t, ctx, s, uploadOf(ensure(t, ctx, s, "c"), "a")).Job
	for kind, delay := range map[document.TaskKind]time.Duration{document.Knowledge: time.Hour, document.Summarise: 0} {
		work := claim(t, ctx, s, job, kind)
		if err := s.Settle(ctx, work, document.Outcome{Verdict: document.VerdictRetry, Error: "hiccup", Delay: delay}); err != nil {
			t.Fatal(err)
		}
	}
	if got := due(t, ctx, s, time.Hour, 10); len(got) > 0 {
		t.Errorf("dispatched within the hour: got %q", got)
	}
	wantDue(t, ctx, s, "one is due now, one in an hour", refOf(t, ctx, job, document.Summarise))
}

func runningTasksAreDueWithoutALease(t *testing.T, ctx context.Context, s Store) {
	job := accept(t, ctx, s, uploadOf(ensure(t, ctx, s, "c"), "a")).Job
	claim(t, ctx, s, job, document.Knowledge)
	lost := refOf(t, ctx, job, document.Summarise)
	work, err := s.Claim(ctx, lost, -leaseTime)
	if err != nil {
		t.Fatal(err)
	}
	wantDue(t, ctx, s, "one lease ran out", lost)
	// It is only ever dispatched when its lease ran out, so idle says nothing.
	if got := due(t, ctx, s, time.Hour, 10); len(got) != 1 {
		t.Errorf("dispatched within the hour: got %q, want %s", got, lost)
	}
	if err := s.Renew(ctx, work, leaseTime); err != nil {
		t.Fatal(err)
	}
	wantDue(t, ctx, s, "its lease was renewed")
}

func endedTasksAreNotDue(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "c")
	publishDocument(t, ctx, s, uploadOf(c, "done"), passageOf("one", 1, 0, 0))
	fail(t, ctx, s, accept(t, ctx, s, uploadOf(c, "failed")).Job)
	deleted := accept(t, ctx, s, uploadOf(c, "deleted"))
	if err := s.DeleteDocument(ctx, deleted.Document.ID); err != nil {
		t.Fatal(err)
	}
	wantDue(t, ctx, s, "all have ended")
}

func dueKeepsToItsLimit(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "c")
	for i := range 3 {
		accept(t, ctx, s, uploadOf(c, fmt.Sprint(i)))
	}
	seen := map[string]bool{}
	for range 3 { // each call takes those that were dispatched the longest ago
		for _, name := range due(t, ctx, s, 0, 2) {
			seen[name] = true
		}
	}
	if len(seen) != 6 {
		t.Errorf("three calls with a limit of 2: got %d of 6 tasks", len(seen))
	}
	if got := due(t, ctx, s, -leaseTime, 2); len(got) != 2 {
		t.Errorf("got %d tasks, want 2", len(got))
	}
}

func excludes(t *testing.T, ctx context.Context, s Store) {
	forbidden := func(context.Context) error {
		t.Error("ran twice at once")
		return nil
	}
	runs := 0
	want := errors.New("from inside")
	err := s.Exclusively(t.Context(), "sweep", func(ctx context.Context) error {
		runs++
		if err := s.Exclusively(as(t, Other), "sweep", forbidden); err != nil {
			t.Errorf("the same name: got %v, want nil at once", err)
		}
		if err := s.Exclusively(ctx, "another", func(context.Context) error { runs++; return nil }); err != nil {
			t.Errorf("another name: %v", err)
		}
		return want
	})
	if !errors.Is(err, want) {
		t.Errorf("got error %v, want that of the function", err)
	}
	err = s.Exclusively(t.Context(), "sweep", func(context.Context) error { runs++; return nil })
	if err != nil || runs != 3 {
		t.Errorf("afterwards: got %v and %d runs, want 3", err, runs)
	}
}
