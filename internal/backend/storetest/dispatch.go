package storetest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// A dispatch takes all that there is of a tenant, so each test has its own
// store.
func dispatching(t *testing.T, open func(t *testing.T) Store) {
	for name, test := range map[string]func(*testing.T, context.Context, Store){
		"Dispatch":          dispatchesTheOldest,
		"Dispatch room":     dispatchesWhatThereIsRoomFor,
		"Dispatch at once":  dispatchesNothingTwice,
		"Dispatch ended":    dispatchesNothingThatHasEnded,
		"Dispatch tenants":  dispatchesForEachTenant,
		"Tenants with work": listsTenantsWithWork,
		"Due undispatched":  undispatchedTasksAreNotOverdue,
		"Due queued":        queuedTasksAreOverdueWhenIdle,
		"Due waiting":       waitingTasksAreOverdueInTime,
		"Due running":       runningTasksAreOverdueWithoutALease,
		"Due ended":         endedTasksAreNotOverdue,
		"Due limit":         overdueKeepsToItsLimit,
	} {
		t.Run(name, func(t *testing.T) { test(t, tenantContext(t, tenant.Default), open(t)) })
	}
}

// dispatch returns the names of what is dispatched, in its order.
func dispatch(t *testing.T, ctx context.Context, s Store, kind task.Kind, window int) []string {
	t.Helper()
	dispatched, err := s.Dispatch(ctx, map[task.Kind]int{kind: window})
	if err != nil {
		t.Fatal(err)
	}
	return dispatchNames(dispatched)
}

func dispatchNames(dispatches []task.Dispatch) []string {
	names := []string{}
	for _, d := range dispatches {
		names = append(names, d.Tenant+"/"+d.String())
	}
	return names
}

// dispatchAll dispatches whatever is not.
func dispatchAll(t *testing.T, ctx context.Context, s Store) {
	t.Helper()
	for _, kind := range task.JobKinds {
		dispatch(t, ctx, s, kind, 1000)
	}
}

// acceptMany accepts documents, one after another.
func acceptMany(t *testing.T, ctx context.Context, s Store, n int) []document.Job {
	t.Helper()
	c := ensureCollection(t, ctx, s, "c")
	jobs := make([]document.Job, n)
	for i := range jobs {
		jobs[i] = acceptUpload(t, ctx, s, uploadOf(c, fmt.Sprint(i))).Job
	}
	return jobs
}

func wantDispatched(t *testing.T, when string, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(append([]string{}, want...), got); diff != "" {
		t.Errorf("%s: dispatched (-want +got):\n%s", when, diff)
	}
}

// dispatchName names a task as it is dispatched.
func dispatchName(t *testing.T, ctx context.Context, job document.Job, kind task.Kind, round int) string {
	t.Helper()
	return dispatchNames([]task.Dispatch{{Ref: taskRefOf(t, ctx, job, kind), Round: round}})[0]
}

func dispatchesTheOldest(t *testing.T, ctx context.Context, s Store) {
	jobs := acceptMany(t, ctx, s, 3)
	name := func(i int, kind task.Kind) string { return dispatchName(t, ctx, jobs[i], kind, 0) }
	wantDispatched(t, "a window of 2", dispatch(t, ctx, s, task.KindKnowledge, 2),
		name(0, task.KindKnowledge), name(1, task.KindKnowledge))
	wantDispatched(t, "a full window", dispatch(t, ctx, s, task.KindKnowledge, 2))
	wantDispatched(t, "another kind", dispatch(t, ctx, s, task.KindSummary, 5),
		name(0, task.KindSummary), name(1, task.KindSummary), name(2, task.KindSummary))
	wantDispatched(t, "no window", dispatch(t, ctx, s, task.KindKnowledge, 0))
	wantDispatched(t, "a window of less than nothing", dispatch(t, ctx, s, task.KindKnowledge, -1))
	wantDispatched(t, "a wider window", dispatch(t, ctx, s, task.KindKnowledge, 3), name(2, task.KindKnowledge))
	wantDispatched(t, "nothing is left", dispatch(t, ctx, s, task.KindKnowledge, 100))
}

func dispatchesWhatThereIsRoomFor(t *testing.T, ctx context.Context, s Store) {
	const window = 2
	jobs := acceptMany(t, ctx, s, 6)
	next := func(when string, want ...int) {
		t.Helper()
		var names []string
		for _, i := range want {
			names = append(names, dispatchName(t, ctx, jobs[i], task.KindKnowledge, 0))
		}
		wantDispatched(t, when, dispatch(t, ctx, s, task.KindKnowledge, window), names...)
	}
	next("at first", 0, 1)
	work := claimTask(t, ctx, s, jobs[0], task.KindKnowledge)
	next("one is running")
	recordOutcome(t, ctx, s, work, task.Outcome{Verdict: task.VerdictRetry, Delay: 2 * leaseTime})
	next("one is waiting")
	publishJob(t, ctx, s, jobs[1], passageOf("one", 1, 0, 0))
	next("one is done", 2)
	recordOutcome(t, ctx, s, claimTask(t, ctx, s, jobs[2], task.KindKnowledge), task.Outcome{Verdict: task.VerdictFail})
	next("one has failed", 3)
	// Begun without having been dispatched, as by an old entry of the queue.
	claimTask(t, ctx, s, jobs[4], task.KindKnowledge)
	if _, err := s.CancelJob(ctx, jobs[3].ID); err != nil {
		t.Fatal(err)
	}
	next("one is cancelled, another running")
	if got := redispatchOverdue(t, ctx, s, -leaseTime, 10); len(got) > 0 {
		t.Errorf("running and waiting ones are due: %q", got)
	}
}

func dispatchesNothingTwice(t *testing.T, ctx context.Context, s Store) {
	acceptMany(t, ctx, s, 40)
	var mu sync.Mutex
	var all []string
	for window := 1; window <= 10; window++ { // one more fits each time
		concurrently(t, 8, func(int) error {
			dispatched, err := s.Dispatch(ctx, map[task.Kind]int{task.KindKnowledge: window})
			mu.Lock()
			defer mu.Unlock()
			all = append(all, dispatchNames(dispatched)...)
			return err
		})
		slices.Sort(all)
		if len(all) != window || len(slices.Compact(all)) != window {
			t.Fatalf("dispatched %q, want %d different tasks", all, window)
		}
	}
}

func dispatchesNothingThatHasEnded(t *testing.T, ctx context.Context, s Store) {
	jobs := acceptMany(t, ctx, s, 3)
	if err := s.DeleteDocument(ctx, jobs[0].DocumentID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.CancelJob(ctx, jobs[1].ID); err != nil {
		t.Fatal(err)
	}
	wantDispatched(t, "two of three have ended", dispatch(t, ctx, s, task.KindKnowledge, 10),
		dispatchName(t, ctx, jobs[2], task.KindKnowledge, 0))
}

func dispatchesForEachTenant(t *testing.T, ctx context.Context, s Store) {
	acceptMany(t, ctx, s, 3)
	other := tenantContext(t, OtherTenant)
	theirs := acceptMany(t, other, s, 1)[0]
	dispatch(t, ctx, s, task.KindKnowledge, 2)
	wantDispatched(t, "the window of one tenant is full, another's is not", dispatch(t, other, s, task.KindKnowledge, 2),
		dispatchName(t, other, theirs, task.KindKnowledge, 0))
}

func listsTenantsWithWork(t *testing.T, ctx context.Context, s Store) {
	want := func(when string, want ...string) {
		t.Helper()
		got, err := s.TenantsWithWork(t.Context()) // works for nobody in particular
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %q, %v; want %q", when, got, err, want)
		}
	}
	other := tenantContext(t, OtherTenant)
	c := ensureCollection(t, other, s, "c")
	want("nothing was accepted")
	jobs := acceptMany(t, ctx, s, 1)
	want("one has a job", tenant.Default)
	reindex := beginReindex(t, other, s, changeModelRequest(c)).ID
	both := []string{tenant.Default, OtherTenant}
	slices.Sort(both)
	want("and another a reindex", both...)
	if _, err := s.CancelJob(ctx, jobs[0].ID); err != nil {
		t.Fatal(err)
	}
	want("the job has ended", OtherTenant)
	controlReindex(t, other, s, s.PauseReindex, reindex)
	want("the reindex is paused")
}

// redispatchOverdue returns the due tasks in the order of their names.
func redispatchOverdue(t *testing.T, ctx context.Context, s Store, idle time.Duration, limit int) []string {
	t.Helper()
	dispatches, err := s.RedispatchOverdue(ctx, idle, limit)
	if err != nil {
		t.Fatal(err)
	}
	names := dispatchNames(dispatches)
	slices.Sort(names)
	return names
}

// wantOverdue checks that exactly these tasks are due to be dispatched again,
// however recently they were.
func wantOverdue(t *testing.T, ctx context.Context, s Store, when string, want ...string) {
	t.Helper()
	slices.Sort(want)
	if diff := cmp.Diff(append([]string{}, want...), redispatchOverdue(t, ctx, s, -leaseTime, 100)); diff != "" {
		t.Errorf("%s: due (-want +got):\n%s", when, diff)
	}
}

func undispatchedTasksAreNotOverdue(t *testing.T, ctx context.Context, s Store) {
	acceptMany(t, ctx, s, 2)
	wantOverdue(t, ctx, s, "none was dispatched")
}

func queuedTasksAreOverdueWhenIdle(t *testing.T, ctx context.Context, s Store) {
	job := acceptMany(t, ctx, s, 1)[0]
	dispatchAll(t, ctx, s)
	if got := redispatchOverdue(t, ctx, s, time.Hour, 10); len(got) > 0 {
		t.Errorf("just dispatched: got %q", got)
	}
	wantOverdue(t, ctx, s, "dispatched too long ago",
		dispatchName(t, ctx, job, task.KindKnowledge, 0), dispatchName(t, ctx, job, task.KindSummary, 0))
	if got := redispatchOverdue(t, ctx, s, time.Hour, 10); len(got) > 0 {
		t.Errorf("just dispatched again: got %q", got)
	}
}

func waitingTasksAreOverdueInTime(t *testing.T, ctx context.Context, s Store) {
	jobs := acceptMany(t, ctx, s, 2)
	dispatchAll(t, ctx, s)
	postpone := func(job document.Job, kind task.Kind, delay time.Duration) {
		recordOutcome(t, ctx, s, claimTask(t, ctx, s, job, kind), task.Outcome{Verdict: task.VerdictRetry, Error: "hiccup", Delay: delay})
	}
	postpone(jobs[0], task.KindKnowledge, 0)
	postpone(jobs[0], task.KindSummary, 2*leaseTime)
	if got := redispatchOverdue(t, ctx, s, time.Hour, 10); len(got) > 0 {
		t.Errorf("dispatched within the hour: got %q", got)
	}
	name := func(i int, kind task.Kind, round int) string {
		return dispatchName(t, ctx, jobs[i], kind, round)
	}
	others := []string{name(1, task.KindKnowledge, 0), name(1, task.KindSummary, 0)}
	wantOverdue(t, ctx, s, "one is due now, one in two hours", append(others, name(0, task.KindKnowledge, 1))...)
	// From its time on it is given as long as one that was just dispatched: the
	// queue holds it, and delivers it then.
	if got := redispatchOverdue(t, ctx, s, -3*leaseTime, 10); len(got) != 4 {
		t.Errorf("due within three hours: got %q, want all 4", got)
	}
}

func runningTasksAreOverdueWithoutALease(t *testing.T, ctx context.Context, s Store) {
	job := acceptMany(t, ctx, s, 1)[0]
	dispatchAll(t, ctx, s)
	claimTask(t, ctx, s, job, task.KindKnowledge)
	work, err := s.Claim(ctx, taskRefOf(t, ctx, job, task.KindSummary), -leaseTime)
	if err != nil {
		t.Fatal(err)
	}
	// Its worker's entry is still in the queue, so it goes there in a new round.
	lost := dispatchName(t, ctx, job, task.KindSummary, 1)
	wantOverdue(t, ctx, s, "one lease ran out", lost)
	// It is only ever dispatched when its lease ran out, so idle says nothing.
	if got := redispatchOverdue(t, ctx, s, time.Hour, 10); len(got) != 1 {
		t.Errorf("dispatched within the hour: got %q, want %s", got, lost)
	}
	if err := s.RenewLease(ctx, work, leaseTime); err != nil {
		t.Fatal(err)
	}
	wantOverdue(t, ctx, s, "its lease was renewed")
}

func endedTasksAreNotOverdue(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "c")
	publishDocument(t, ctx, s, uploadOf(c, "done"), passageOf("one", 1, 0, 0))
	failJob(t, ctx, s, acceptUpload(t, ctx, s, uploadOf(c, "failed")).Job)
	deleted := acceptUpload(t, ctx, s, uploadOf(c, "deleted"))
	dispatchAll(t, ctx, s)
	if err := s.DeleteDocument(ctx, deleted.Document.ID); err != nil {
		t.Fatal(err)
	}
	wantOverdue(t, ctx, s, "all have ended")
}

func overdueKeepsToItsLimit(t *testing.T, ctx context.Context, s Store) {
	acceptMany(t, ctx, s, 3)
	dispatchAll(t, ctx, s)
	seen := map[string]bool{}
	for range 3 { // each call takes those that were dispatched the longest ago
		for _, name := range redispatchOverdue(t, ctx, s, 0, 2) {
			seen[name] = true
		}
	}
	if len(seen) != 6 {
		t.Errorf("three calls with a limit of 2: got %d of 6 tasks", len(seen))
	}
	if got := redispatchOverdue(t, ctx, s, -leaseTime, 2); len(got) != 2 {
		t.Errorf("got %d tasks, want 2", len(got))
	}
}
