package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

func tasks(t *testing.T, open func(t *testing.T) Store) {
	s := open(t)
	ctx := tenantContext(t, tenant.Default)
	for name, test := range map[string]func(*testing.T, context.Context, Store){
		"Claim":               claimsWork,
		"Claim at once":       claimsOnceAtOnce,
		"Claim expired":       countsCrashes,
		"Claim nothing":       claimsNothingUnknown,
		"Claim superseded":    cancelsSupersededTasks,
		"Claim begun":         finishesWhatWasBegun,
		"Claim deleted":       cancelsTasksOfDeletedDocuments,
		"Renew":               renewsLeases,
		"Settle wait":         waitsWithoutCostingAnAttempt,
		"Settle retry":        recordsARetry,
		"Settle end":          recordsAnEnd,
		"Settle live":         recordsOutcomesWithoutTouchingThePublishedVersion,
		"Settle odd error":    recordsAnyError,
		"Settle stale":        refusesStaleLeases,
		"Settle superseded":   failsDocumentsByTheirNewestVersionOnly,
		"Job of both tasks":   combinesTaskStates,
		"Settle both at once": recordsBothOutcomesAtOnce,
	} {
		t.Run(name, func(t *testing.T) { test(t, ctx, s) })
	}
}

// recordOutcome writes what became of a task.
func recordOutcome(t *testing.T, ctx context.Context, s Store, work task.Work, outcome task.Outcome) {
	t.Helper()
	if err := s.RecordOutcome(ctx, work, outcome); err != nil {
		t.Fatal(err)
	}
}

func claimsWork(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "claim")
	upload := uploadOf(c, "a")
	job := acceptUpload(t, ctx, s, upload).Job
	for _, kind := range task.JobKinds {
		ref := taskRefOf(t, ctx, job, kind)
		got, err := s.Claim(ctx, ref, leaseTime)
		if err != nil {
			t.Fatal(err)
		}
		want := task.Work{Ref: ref, SpaceReplaceable: c.SpaceReplaceable, JobID: job.ID, Lease: got.Lease, Attempt: 1, Collection: "claim", Key: "a",
			Title: upload.Title, MediaType: upload.MediaType, Object: upload.Object, Size: upload.Size, SHA256: upload.SHA256, Space: c.ActiveSpace}
		if diff := cmp.Diff(want, got); diff != "" || got.Lease == uuid.Nil {
			t.Errorf("%s: work, lease %s (-want +got):\n%s", kind, got.Lease, diff)
		}
	}
	got := readJob(t, ctx, s, job.ID)
	if got.State != document.JobRunning || got.Tasks.Knowledge.State != document.JobRunning || got.Tasks.Summary.Attempt != 1 {
		t.Errorf("job: got %+v, want it running, with one attempt of each task", got)
	}
	if got.StartedAt == nil || got.StartedAt.Before(job.CreatedAt) || got.FinishedAt != nil {
		t.Errorf("job: got started at %v, finished at %v", got.StartedAt, got.FinishedAt)
	}
}

func claimsOnceAtOnce(t *testing.T, ctx context.Context, s Store) {
	job := acceptUpload(t, ctx, s, uploadOf(ensureCollection(t, ctx, s, "claim"), "at once")).Job
	ref := taskRefOf(t, ctx, job, task.KindKnowledge)
	won := make(chan task.Work, 8)
	concurrently(t, cap(won), func(int) error {
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
	job := acceptUpload(t, ctx, s, uploadOf(ensureCollection(t, ctx, s, "claim"), "crashes")).Job
	ref := taskRefOf(t, ctx, job, task.KindKnowledge)
	var last task.Work
	for i, step := range []struct {
		ttl              time.Duration
		settle           task.Verdict // "" for a crash
		attempt, crashes int
	}{
		{leaseTime, task.VerdictRetry, 1, 0},
		{-leaseTime, "", 2, 0},
		{-leaseTime, "", 3, 1},
		{leaseTime, task.VerdictWait, 4, 2},
		{leaseTime, task.VerdictRetry, 4, 2},
		{leaseTime, task.VerdictFail, 5, 2},
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
			recordOutcome(t, ctx, s, work, task.Outcome{Verdict: step.settle, Error: "odd"})
		}
		last = work
	}
}

func claimsNothingUnknown(t *testing.T, ctx context.Context, s Store) {
	accepted := publishDocument(t, ctx, s, uploadOf(ensureCollection(t, ctx, s, "claim"), "unknown"), passageOf("one", 1, 0, 0))
	ref := taskRefOf(t, ctx, accepted.Job, task.KindKnowledge)
	for name, change := range map[string]func(ref *task.Ref){
		"ended":            func(*task.Ref) {},
		"unknown document": func(ref *task.Ref) { ref.DocumentID = uuid.New() },
		"unknown version":  func(ref *task.Ref) { ref.Version = 2 },
		"unknown kind":     func(ref *task.Ref) { ref.Kind = "another" },
		"no reindex":       func(ref *task.Ref) { ref.Kind = task.KindReindex },
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
	c := ensureCollection(t, ctx, s, "claim")
	first := acceptUpload(t, ctx, s, uploadOf(c, "superseded"))
	acceptUpload(t, ctx, s, uploadOf(c, "superseded"))
	for _, kind := range task.JobKinds {
		_, err := s.Claim(ctx, taskRefOf(t, ctx, first.Job, kind), leaseTime)
		wantFault(t, err, fault.NotFound)
	}
	got := readJob(t, ctx, s, first.Job.ID)
	if got.State != document.JobCancelled || got.Error != "superseded by version 2" || got.FinishedAt == nil || got.StartedAt != nil {
		t.Errorf("job: got %+v, want it cancelled", got)
	}
	if d := readDocument(t, ctx, s, first.Document.ID); d.State != document.DocumentPending {
		t.Errorf("document: got %s, want pending: its second version is to be made", d.State)
	}
}

func finishesWhatWasBegun(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "claim")
	first := acceptUpload(t, ctx, s, uploadOf(c, "begun"))
	recordOutcome(t, ctx, s, claimTask(t, ctx, s, first.Job, task.KindKnowledge), task.Outcome{Verdict: task.VerdictWait})
	acceptUpload(t, ctx, s, uploadOf(c, "begun"))
	if work := claimTask(t, ctx, s, first.Job, task.KindKnowledge); work.Version != 1 {
		t.Errorf("got version %d", work.Version)
	}
}

func cancelsTasksOfDeletedDocuments(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "claim")
	accepted := acceptUpload(t, ctx, s, uploadOf(c, "deleted"))
	work := claimTask(t, ctx, s, accepted.Job, task.KindKnowledge)
	if err := s.DeleteDocument(ctx, accepted.Document.ID); err != nil {
		t.Fatal(err)
	}
	for _, kind := range task.JobKinds {
		_, err := s.Claim(ctx, taskRefOf(t, ctx, accepted.Job, kind), leaseTime)
		wantFault(t, err, fault.NotFound)
	}
	wantFault(t, s.RenewLease(ctx, work, leaseTime), fault.LeaseLost)
	if got := readJob(t, ctx, s, accepted.Job.ID); got.State != document.JobCancelled || got.Error != "document deleted" {
		t.Errorf("job: got %s, %q", got.State, got.Error)
	}
}

func renewsLeases(t *testing.T, ctx context.Context, s Store) {
	job := acceptUpload(t, ctx, s, uploadOf(ensureCollection(t, ctx, s, "renew"), "a")).Job
	ref := taskRefOf(t, ctx, job, task.KindKnowledge)
	first, err := s.Claim(ctx, ref, -leaseTime)
	if err != nil {
		t.Fatal(err)
	}
	// Nobody has taken the task over: it is still ours to renew.
	if err := s.RenewLease(ctx, first, leaseTime); err != nil {
		t.Fatal(err)
	}
	_, err = s.Claim(ctx, ref, leaseTime)
	wantFault(t, err, fault.Conflict)
	if err := s.RenewLease(ctx, first, -leaseTime); err != nil {
		t.Fatal(err)
	}
	second := claimTask(t, ctx, s, job, task.KindKnowledge)
	wantFault(t, s.RenewLease(ctx, first, leaseTime), fault.LeaseLost)
	if err := s.RenewLease(ctx, second, leaseTime); err != nil {
		t.Error(err)
	}
}

func waitsWithoutCostingAnAttempt(t *testing.T, ctx context.Context, s Store) {
	accepted := acceptUpload(t, ctx, s, uploadOf(ensureCollection(t, ctx, s, "settle"), "wait"))
	work := claimTask(t, ctx, s, accepted.Job, task.KindKnowledge)
	recordOutcome(t, ctx, s, work, task.Outcome{Verdict: task.VerdictWait, Error: "provider down", Delay: time.Minute})

	job := readJob(t, ctx, s, accepted.Job.ID)
	task := job.Tasks.Knowledge
	if task.State != document.JobWaiting || task.Attempt != 0 || task.Error != "provider down" || job.State != document.JobWaiting || job.Error != "provider down" {
		t.Errorf("job: got %+v, want its knowledge task waiting with no attempt used up", job)
	}
	if task.NextAttemptAt == nil || job.NextAttemptAt == nil || !job.NextAttemptAt.Equal(*task.NextAttemptAt) || !job.NextAttemptAt.After(job.CreatedAt) {
		t.Errorf("next attempt: job %v, task %v", job.NextAttemptAt, task.NextAttemptAt)
	}
	_, err := s.Claim(ctx, work.Ref, leaseTime)
	wantFault(t, err, fault.Unavailable)
	if after := fault.As(err).RetryAfter; after <= 0 || after > time.Minute {
		t.Errorf("retry after %s, want what is left of a minute", after)
	}
	if d := readDocument(t, ctx, s, accepted.Document.ID); d.State != document.DocumentPending {
		t.Errorf("document: got %s, want pending", d.State)
	}
}

func recordsARetry(t *testing.T, ctx context.Context, s Store) {
	accepted := acceptUpload(t, ctx, s, uploadOf(ensureCollection(t, ctx, s, "settle"), "retry"))
	for attempt := 1; attempt <= 3; attempt++ {
		work := claimTask(t, ctx, s, accepted.Job, task.KindKnowledge)
		if work.Attempt != attempt {
			t.Errorf("got attempt %d, want %d", work.Attempt, attempt)
		}
		recordOutcome(t, ctx, s, work, task.Outcome{Verdict: task.VerdictRetry, Error: "odd", Delay: 0})
	}
	if got := readJob(t, ctx, s, accepted.Job.ID); got.State != document.JobWaiting || got.Tasks.Knowledge.Attempt != 3 {
		t.Errorf("job: got %+v, want it waiting after 3 attempts", got)
	}
	claimTask(t, ctx, s, accepted.Job, task.KindKnowledge)
	if got := readJob(t, ctx, s, accepted.Job.ID); got.NextAttemptAt != nil || got.State != document.JobRunning {
		t.Errorf("job under way: got %s, next attempt %v", got.State, got.NextAttemptAt)
	}
}

func recordsAnEnd(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "settle")
	for verdict, want := range map[task.Verdict]document.JobState{
		task.VerdictFail:   document.JobFailed,
		task.VerdictCancel: document.JobCancelled,
	} {
		accepted := acceptUpload(t, ctx, s, uploadOf(c, "for good: "+string(verdict)))
		work := claimTask(t, ctx, s, accepted.Job, task.KindKnowledge)
		recordOutcome(t, ctx, s, work, task.Outcome{Verdict: verdict, Error: "broken"})
		row := readJob(t, ctx, s, accepted.Job.ID).Tasks.Knowledge
		if row.State != want || row.Error != "broken" || row.Attempt != 1 || row.NextAttemptAt != nil {
			t.Errorf("%s: task: got %+v, want %s", verdict, row, want)
		}
		if d := readDocument(t, ctx, s, accepted.Document.ID); d.State != document.DocumentFailed {
			t.Errorf("%s: document: got %s, want failed", verdict, d.State)
		}
		_, err := s.Claim(ctx, work.Ref, leaseTime)
		wantFault(t, err, fault.NotFound)
		wantFault(t, s.RecordOutcome(ctx, work, task.Outcome{Verdict: verdict}), fault.LeaseLost)
	}
}

func recordsOutcomesWithoutTouchingThePublishedVersion(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "settle")
	publishDocument(t, ctx, s, uploadOf(c, "live"), passageOf("one", 1, 0, 0))
	second := acceptUpload(t, ctx, s, uploadOf(c, "live"))
	recordOutcome(t, ctx, s, claimTask(t, ctx, s, second.Job, task.KindKnowledge), task.Outcome{Verdict: task.VerdictFail, Error: "broken"})
	if d := readDocument(t, ctx, s, second.Document.ID); d.State != document.DocumentReady || d.Version != 1 {
		t.Errorf("document: got %s, version %d; want ready, version 1", d.State, d.Version)
	}
}

// A failing summary must not keep its document from being searched.
func combinesTaskStates(t *testing.T, ctx context.Context, s Store) {
	accepted := acceptUpload(t, ctx, s, uploadOf(ensureCollection(t, ctx, s, "settle"), "both"))
	summary := claimTask(t, ctx, s, accepted.Job, task.KindSummary)
	recordOutcome(t, ctx, s, summary, task.Outcome{Verdict: task.VerdictFail, Error: "no words"})
	got := readJob(t, ctx, s, accepted.Job.ID)
	if got.State != document.JobRunning || got.FinishedAt != nil || got.Error != "no words" {
		t.Errorf("one task failed: got %s, finished at %v, error %q", got.State, got.FinishedAt, got.Error)
	}
	publishJob(t, ctx, s, accepted.Job, passageOf("one", 1, 0, 0))
	got = readJob(t, ctx, s, accepted.Job.ID)
	if got.State != document.JobFailed || got.FinishedAt == nil || got.Tasks.Knowledge.State != document.JobSucceeded {
		t.Errorf("both ended: got %+v, want the job failed, the knowledge task succeeded", got)
	}
	if d := readDocument(t, ctx, s, accepted.Document.ID); d.State != document.DocumentReady {
		t.Errorf("document: got %s, want ready", d.State)
	}
}

func recordsAnyError(t *testing.T, ctx context.Context, s Store) {
	accepted := acceptUpload(t, ctx, s, uploadOf(ensureCollection(t, ctx, s, "settle"), "odd error"))
	work := claimTask(t, ctx, s, accepted.Job, task.KindKnowledge)
	recordOutcome(t, ctx, s, work, task.Outcome{Verdict: task.VerdictFail, Error: oddText})
	if got := readJob(t, ctx, s, accepted.Job.ID); got.Error != storedOddText || got.Tasks.Knowledge.Error != storedOddText {
		t.Errorf("got error %q, of the task %q, want %q", got.Error, got.Tasks.Knowledge.Error, storedOddText)
	}
}

func refusesStaleLeases(t *testing.T, ctx context.Context, s Store) {
	job := acceptUpload(t, ctx, s, uploadOf(ensureCollection(t, ctx, s, "settle"), "stale")).Job
	stale, err := s.Claim(ctx, taskRefOf(t, ctx, job, task.KindKnowledge), -leaseTime)
	if err != nil {
		t.Fatal(err)
	}
	current := claimTask(t, ctx, s, job, task.KindKnowledge)
	before := readJob(t, ctx, s, job.ID)
	one, progress := passageOf("stale", 1, 0, 0), document.KnowledgeProgress{Passages: 1}
	wantFault(t, s.RecordOutcome(ctx, stale, task.Outcome{Verdict: task.VerdictFail, Error: "stale"}), fault.LeaseLost)
	wantFault(t, s.WriteBatch(ctx, stale, batchOf(0, one), progress), fault.LeaseLost)
	wantFault(t, s.Publish(ctx, stale, nil, document.KnowledgeProgress{}), fault.LeaseLost)
	if diff := cmp.Diff(before, readJob(t, ctx, s, job.ID)); diff != "" {
		t.Errorf("a stale worker changed the job (-before +after):\n%s", diff)
	}
	wantKnown(t, ctx, s, current.Space, hashesOf(one))
	if err := s.WriteBatch(ctx, current, batchOf(0, one), progress); err != nil {
		t.Fatal(err)
	}
	if err := s.Publish(ctx, current, nil, progress); err != nil {
		t.Fatal(err)
	}
}

func failsDocumentsByTheirNewestVersionOnly(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "settle")
	first := acceptUpload(t, ctx, s, uploadOf(c, "newest"))
	work := claimTask(t, ctx, s, first.Job, task.KindKnowledge)
	second := acceptUpload(t, ctx, s, uploadOf(c, "newest"))
	recordOutcome(t, ctx, s, work, task.Outcome{Verdict: task.VerdictFail, Error: "broken"})
	if d := readDocument(t, ctx, s, first.Document.ID); d.State != document.DocumentPending {
		t.Errorf("first version failed, second under way: got %s, want pending", d.State)
	}
	recordOutcome(t, ctx, s, claimTask(t, ctx, s, second.Job, task.KindKnowledge), task.Outcome{Verdict: task.VerdictFail, Error: "broken"})
	if d := readDocument(t, ctx, s, first.Document.ID); d.State != document.DocumentFailed {
		t.Errorf("both failed: got %s, want failed", d.State)
	}
}

// Each must see the other's end, or the job would never get its own.
func recordsBothOutcomesAtOnce(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "settle at once")
	for range 5 {
		job := acceptUpload(t, ctx, s, uploadOf(c, uuid.NewString())).Job
		works := []task.Work{claimTask(t, ctx, s, job, task.KindKnowledge), claimTask(t, ctx, s, job, task.KindSummary)}
		concurrently(t, len(works), func(i int) error {
			return s.RecordOutcome(ctx, works[i], task.Outcome{Verdict: task.VerdictFail, Error: "broken"})
		})
		if got := readJob(t, ctx, s, job.ID); got.State != document.JobFailed || got.FinishedAt == nil {
			t.Errorf("got %s, finished at %v; want failed", got.State, got.FinishedAt)
		}
	}
}
