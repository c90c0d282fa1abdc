package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
	"github.com/seed-7a112592/gristmill/pkg/tenant"
)

func tasks(t *testing.T, open func(t *testing.T) Store) {
	s := open(t)
	ctx := as(t, tenant.Default)
	for name, test := range map[string]func(*testing.T, context.Context, Store){
		"Claim":               claimsWork,
		"Claim at once":       claimsOnceAtOnce,
		"Claim expired":       countsCrashes,
		"Claim nothing":       claimsNothingUnknown,
		"Claim superseded":    cancelsSupersededTasks,
		"Claim begun":         finishesWhatWasBegun,
		"Claim deleted":       cancelsTasksOfDeletedDocuments,
		"Renew":               renewsLeases,
		"Settle wait":         settlesWithoutCostingAnAttempt,
		"Settle retry":        settlesForAnotherAttempt,
		"Settle end":          settlesForGood,
		"Settle live":         settlesWithoutTouchingTheLiveVersion,
		"Settle odd error":    settlesWithAnyError,
		"Settle stale":        refusesStaleLeases,
		"Settle superseded":   failsDocumentsByTheirNewestVersionOnly,
		"Job of both tasks":   combinesTaskStates,
		"Settle both at once": settlesBothTasksAtOnce,
	} {
		t.Run(name, func(t *testing.T) { test(t, ctx, s) })
	}
}

// settle writes what became of a task.
func settle(t *testing.T, ctx context.Context, s Store, work document.Work, outcome document.Outcome) {
	t.Helper()
	if err := s.Settle(ctx, work, outcome); err != nil {
		t.Fatal(err)
	}
}

func claimsWork(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "claim")
	upload := uploadOf(c, "a")
	job := accept(t, ctx, s, upload).Job
	for _, kind := range document.TaskKinds {
		ref := refOf(t, ctx, job, kind)
		got, err := s.Claim(ctx, ref, leaseTime)
		if err != nil {
			t.Fatal(err)
		}
		want := document.Work{TaskRef: ref, Unsettled: c.Unsettled, Job: job.ID, Lease: got.Lease, Attempt: 1, Collection: "claim", Key: "a",
			Title: upload.Title, MediaType: upload.MediaType, Object: upload.Object, Size: upload.Size, SHA256: upload.SHA256, Space: c.Space}
		if diff := cmp.Diff(want, got); diff != "" || got.Lease == uuid.Nil {
			t.Errorf("%s: work, lease %s (-want +got):\n%s", kind, got.Lease, diff)
		}
	}
	got := readJob(t, ctx, s, job.ID)
	if got.State != document.Running || got.Tasks.Knowledge.State != document.Running || got.Tasks.Summary.Attempt != 1 {
		t.Errorf("job: got %+v, want it running, with one attempt of each task", got)
	}
	if got.StartedAt == nil || got.StartedAt.Before(job.CreatedAt) || got.FinishedAt != nil {
		t.Errorf("job: got started at %v, finished at %v", got.StartedAt, got.FinishedAt)
	}
}

func claimsOnceAtOnce(t *testing.T, ctx context.Context, s Store) {
	job := accept(t, ctx, s, uploadOf(ensure(t, ctx, s, "claim"), "at once")).Job
	ref := refOf(t, ctx, job, document.Knowledge)
	won := make(chan document.Work, 8)
	together(t, cap(won), func(int) error {
		work, err := s.Claim(ctx, ref, leaseTime)
		if err == nil {
			won <- work
			return nil
		}
		wantFault(t, err, fault.Conflict)
		return nil
	})
	if len(won) != 1 {
		t.Errorf("%d of %d claims were given the task", len(won), cap(won))
	}
}

// What counts as a crash is a lease that ran out, not what was settled.
func countsCrashes(t *testing.T, ctx context.Context, s Store) {
	job := accept(t, ctx, s, uploadOf(ensure(t, ctx, s, "claim"), "crashes")).Job
	ref := refOf(t, ctx, job, document.Knowledge)
	var last document.Work
	for i, step := range []struct {
		ttl              time.Duration
		settle           document.Verdict // "" for a crash
		attempt, crashes int
	}{
		{leaseTime, document.VerdictRetry, 1, 0},
		{-leaseTime, "", 2, 0},
		{-leaseTime, "", 3, 1},
		{leaseTime, document.VerdictWait, 4, 2},
		{leaseTime, document.VerdictRetry, 4, 2},
		{leaseTime, document.VerdictFail, 5, 2},
	} {
		work, err := s.Claim(ctx, ref, step.ttl)
		if err != nil {
			t.Fatal(err)
		}
		if work.Attempt != step.attempt || work.Crashes != step.crashes || work.Lease == last.Lease {
			t.Errorf("claim %d: got attempt %d with %d crashes, lease %s (before: %s); want attempt %d with %d crashes",
				i, work.Attempt, work.Crashes, work.Lease, last.Lease, step.attempt, step.crashes)
		}
		if step.settle != "" {
			settle(t, ctx, s, work, document.Outcome{Verdict: step.settle, Error: "odd"})
		}
		last = work
	}
}

func claimsNothingUnknown(t *testing.T, ctx context.Context, s Store) {
	accepted := publishDocument(t, ctx, s, uploadOf(ensure(t, ctx, s, "claim"), "unknown"), passageOf("one", 1, 0, 0))
	ref := refOf(t, ctx, accepted.Job, document.Knowledge)
	for name, change := range map[string]func(ref *document.TaskRef){
		"ended":            func(*document.TaskRef) {},
		"unknown document": func(ref *document.TaskRef) { ref.Document = uuid.New() },
		"unknown version":  func(ref *document.TaskRef) { ref.Version = 2 },
		"unknown kind":     func(ref *document.TaskRef) { ref.Kind = "another" },
		"no reindex":       func(ref *document.TaskRef) { ref.Kind = document.Reindexing },
	} {
		changed := ref
		change(&changed)
		_, err := s.Claim(ctx, changed, leaseTime)
		if !fault.Is(err, fault.NotFound) {
			t.Errorf("%s: got error %v, want one of kind not_found", name, err)
		}
	}
}

func cancelsSupersededTasks(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "claim")
	first := accept(t, ctx, s, uploadOf(c, "superseded"))
	accept(t, ctx, s, uploadOf(c, "superseded"))
	for _, kind := range document.TaskKinds {
		_, err := s.Claim(ctx, refOf(t, ctx, first.Job, kind), leaseTime)
		wantFault(t, err, fault.NotFound)
	}
	got := readJob(t, ctx, s, first.Job.ID)
	if got.State != document.Cancelled || got.Error != "superseded by version 2" || got.FinishedAt == nil || got.StartedAt != nil {
		t.Errorf("job: got %+v, want it cancelled", got)
	}
	if d := readDocument(t, ctx, s, first.Document.ID); d.State != document.Pending {
		t.Errorf("document: got %s, want pending: its second version is to be made", d.State)
	}
}

func finishesWhatWasBegun(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "claim")
	first := accept(t, ctx, s, uploadOf(c, "begun"))
	settle(t, ctx, s, claim(t, ctx, s, first.Job, document.Knowledge), document.Outcome{Verdict: document.VerdictWait})
	accept(t, ctx, s, uploadOf(c, "begun"))
	if work := claim(t, ctx, s, first.Job, document.Knowledge); work.Version != 1 {
		t.Errorf("got version %d", work.Version)
	}
}

func cancelsTasksOfDeletedDocuments(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "claim")
	accepted := accept(t, ctx, s, uploadOf(c, "deleted"))
	work := claim(t, ctx, s, accepted.Job, document.Knowledge)
	if err := s.DeleteDocument(ctx, accepted.Document.ID); err != nil {
		t.Fatal(err)
	}
	for _, kind := range document.TaskKinds {
		_, err := s.Claim(ctx, refOf(t, ctx, accepted.Job, kind), leaseTime)
		wantFault(t, err, fault.NotFound)
	}
	wantFault(t, s.Renew(ctx, work, leaseTime), fault.LeaseLost)
	if got := readJob(t, ctx, s, accepted.Job.ID); got.State != document.Cancelled || got.Error != "document deleted" {
		t.Errorf("job: got %s, %q", got.State, got.Error)
	}
}

func renewsLeases(t *testing.T, ctx context.Context, s Store) {
	job := accept(t, ctx, s, uploadOf(ensure(t, ctx, s, "renew"), "a")).Job
	ref := refOf(t, ctx, job, document.Knowledge)
	first, err := s.Claim(ctx, ref, -leaseTime)
	if err != nil {
		t.Fatal(err)
	}
	// Nobody has taken the task over: it is still ours to renew.
	if err := s.Renew(ctx, first, leaseTime); err != nil {
		t.Fatal(err)
	}
	_, err = s.Claim(ctx, ref, leaseTime)
	wantFault(t, err, fault.Conflict)
	if err := s.Renew(ctx, first, -leaseTime); err != nil {
		t.Fatal(err)
	}
	second := claim(t, ctx, s, job, document.Knowledge)
	wantFault(t, s.Renew(ctx, first, leaseTime), fault.LeaseLost)
	if err := s.Renew(ctx, second, leaseTime); err != nil {
		t.Error(err)
	}
}

func settlesWithoutCostingAnAttempt(t *testing.T, ctx context.Context, s Store) {
	accepted := accept(t, ctx, s, uploadOf(ensure(t, ctx, s, "settle"), "wait"))
	work := claim(t, ctx, s, accepted.Job, document.Knowledge)
	settle(t, ctx, s, work, document.Outcome{Verdict: document.VerdictWait, Error: "provider down", Delay: time.Minute})

	job := readJob(t, ctx, s, accepted.Job.ID)
	task := job.Tasks.Knowledge
	if task.State != document.Waiting || task.Attempt != 0 || task.Error != "provider down" || job.State != document.Waiting || job.Error != "provider down" {
		t.Errorf("job: got %+v, want its knowledge task waiting with no attempt used up", job)
	}
	if task.NextAttemptAt == nil || job.NextAttemptAt == nil || !job.NextAttemptAt.Equal(*task.NextAttemptAt) || !job.NextAttemptAt.After(job.CreatedAt) {
		t.Errorf("next attempt: job %v, task %v", job.NextAttemptAt, task.NextAttemptAt)
	}
	_, err := s.Claim(ctx, work.TaskRef, leaseTime)
	wantFault(t, err, fault.Unavailable)
	if after := fault.As(err).RetryAfter; after <= 0 || after > time.Minute {
		t.Errorf("retry after %s, want what is left of a minute", after)
	}
	if d := readDocument(t, ctx, s, accepted.Document.ID); d.State != document.Pending {
		t.Errorf("document: got %s, want pending", d.State)
	}
}

func settlesForAnotherAttempt(t *testing.T, ctx context.Context, s Store) {
	accepted := accept(t, ctx, s, uploadOf(ensure(t, ctx, s, "settle"), "retry"))
	for attempt := 1; attempt <= 3; attempt++ {
		work := claim(t, ctx, s, accepted.Job, document.Knowledge)
		if work.Attempt != attempt {
			t.Errorf("got attempt %d, want %d", work.Attempt, attempt)
		}
		settle(t, ctx, s, work, document.Outcome{Verdict: document.VerdictRetry, Error: "odd", Delay: 0})
	}
	if got := readJob(t, ctx, s, accepted.Job.ID); got.State != document.Waiting || got.Tasks.Knowledge.Attempt != 3 {
		t.Errorf("job: got %+v, want it waiting after 3 attempts", got)
	}
	claim(t, ctx, s, accepted.Job, document.Knowledge)
	if got := readJob(t, ctx, s, accepted.Job.ID); got.NextAttemptAt != nil || got.State != document.Running {
		t.Errorf("job under way: got %s, next attempt %v", got.State, got.NextAttemptAt)
	}
}

func settlesForGood(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "settle")
	for verdict, want := range map[document.Verdict]document.JobState{
		document.VerdictFail:   document.JobFailed,
		document.VerdictCancel: document.Cancelled,
	} {
		accepted := accept(t, ctx, s, uploadOf(c, "for good: "+string(verdict)))
		work := claim(t, ctx, s, accepted.Job, document.Knowledge)
		settle(t, ctx, s, work, document.Outcome{Verdict: verdict, Error: "broken"})
		task := readJob(t, ctx, s, accepted.Job.ID).Tasks.Knowledge
		if task.State != want || task.Error != "broken" || task.Attempt != 1 || task.NextAttemptAt != nil {
			t.Errorf("%s: task: got %+v, want %s", verdict, task, want)
		}
		if d := readDocument(t, ctx, s, accepted.Document.ID); d.State != document.Failed {
			t.Errorf("%s: document: got %s, want failed", verdict, d.State)
		}
		_, err := s.Claim(ctx, work.TaskRef, leaseTime)
		wantFault(t, err, fault.NotFound)
		wantFault(t, s.Settle(ctx, work, document.Outcome{Verdict: verdict}), fault.LeaseLost)
	}
}

func settlesWithoutTouchingTheLiveVersion(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "settle")
	publishDocument(t, ctx, s, uploadOf(c, "live"), passageOf("one", 1, 0, 0))
	second := accept(t, ctx, s, uploadOf(c, "live"))
	settle(t, ctx, s, claim(t, ctx, s, second.Job, document.Knowledge), document.Outcome{Verdict: document.VerdictFail, Error: "broken"})
	if d := readDocument(t, ctx, s, second.Document.ID); d.State != document.Ready || d.Version != 1 {
		t.Errorf("document: got %s, version %d; want ready, version 1", d.State, d.Version)
	}
}

// A failing summary must not keep its document from being searched.
func combinesTaskStates(t *testing.T, ctx context.Context, s Store) {
	accepted := accept(t, ctx, s, uploadOf(ensure(t, ctx, s, "settle"), "both"))
	summary := claim(t, ctx, s, accepted.Job, document.Summarise)
	settle(t, ctx, s, summary, document.Outcome{Verdict: document.VerdictFail, Error: "no words"})
	got := readJob(t, ctx, s, accepted.Job.ID)
	if got.State != document.Running || got.FinishedAt != nil || got.Error != "no words" {
		t.Errorf("one task failed: got %s, finished at %v, error %q", got.State, got.FinishedAt, got.Error)
	}
	publish(t, ctx, s, accepted.Job, passageOf("one", 1, 0, 0))
	got = readJob(t, ctx, s, accepted.Job.ID)
	if got.State != document.JobFailed || got.FinishedAt == nil || got.Tasks.Knowledge.State != document.Succeeded {
		t.Errorf("both ended: got %+v, want the job failed, the knowledge task succeeded", got)
	}
	if d := readDocument(t, ctx, s, accepted.Document.ID); d.State != document.Ready {
		t.Errorf("document: got %s, want ready", d.State)
	}
}

func settlesWithAnyError(t *testing.T, ctx context.Context, s Store) {
	accepted := accept(t, ctx, s, uploadOf(ensure(t, ctx, s, "settle"), "odd error"))
	work := claim(t, ctx, s, accepted.Job, document.Knowledge)
	settle(t, ctx, s, work, document.Outcome{Verdict: document.VerdictFail, Error: "provider said \x00\xff'quoted'"})
	if got := readJob(t, ctx, s, accepted.Job.ID).Error; got == "" {
		t.Error("the error was lost")
	}
}

func refusesStaleLeases(t *testing.T, ctx context.Context, s Store) {
	job := accept(t, ctx, s, uploadOf(ensure(t, ctx, s, "settle"), "stale")).Job
	stale, err := s.Claim(ctx, refOf(t, ctx, job, document.Knowledge), -leaseTime)
	if err != nil {
		t.Fatal(err)
	}
	current := claim(t, ctx, s, job, document.Knowledge)
	before := readJob(t, ctx, s, job.ID)
	one, progress := passageOf("stale", 1, 0, 0), document.KnowledgeProgress{Passages: 1}
	wantFault(t, s.Settle(ctx, stale, document.Outcome{Verdict: document.VerdictFail, Error: "stale"}), fault.LeaseLost)
	wantFault(t, s.Write(ctx, stale, batchOf(0, one), progress), fault.LeaseLost)
	wantFault(t, s.Publish(ctx, stale, nil, document.KnowledgeProgress{}), fault.LeaseLost)
	if diff := cmp.Diff(before, readJob(t, ctx, s, job.ID)); diff != "" {
		t.Errorf("a stale worker changed the job (-before +after):\n%s", diff)
	}
	wantKnown(t, ctx, s, current.Space, hashesOf(one))
	if err := s.Write(ctx, current, batchOf(0, one), progress); err != nil {
		t.Fatal(err)
	}
	if err := s.Publish(ctx, current, nil, progress); err != nil {
		t.Fatal(err)
	}
}

func failsDocumentsByTheirNewestVersionOnly(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "settle")
	first := accept(t, ctx, s, uploadOf(c, "newest"))
	work := claim(t, ctx, s, first.Job, document.Knowledge)
	second := accept(t, ctx, s, uploadOf(c, "newest"))
	settle(t, ctx, s, work, document.Outcome{Verdict: document.VerdictFail, Error: "broken"})
	if d := readDocument(t, ctx, s, first.Document.ID); d.State != document.Pending {
		t.Errorf("first version failed, second under way: got %s, want pending", d.State)
	}
	settle(t, ctx, s, claim(t, ctx, s, second.Job, document.Knowledge), document.Outcome{Verdict: document.VerdictFail, Error: "broken"})
	if d := readDocument(t, ctx, s, first.Document.ID); d.State != document.Failed {
		t.Errorf("both failed: got %s, want failed", d.State)
	}
}

// Each must see the other's end, or the job would never get its own.
func settlesBothTasksAtOnce(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "settle at once")
	for range 5 {
		job := accept(t, ctx, s, uploadOf(c, uuid.NewString())).Job
		works := []document.Work{claim(t, ctx, s, job, document.Knowledge), claim(t, ctx, s, job, document.Summarise)}
		together(t, len(works), func(i int) error {
			return s.Settle(ctx, works[i], document.Outcome{Verdict: document.VerdictFail, Error: "broken"})
		})
		if got := readJob(t, ctx, s, job.ID); got.State != document.JobFailed || got.FinishedAt == nil {
			t.Errorf("got %s, finished at %v; want failed", got.State, got.FinishedAt)
		}
	}
}
