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

func jobControl(t *testing.T, open func(t *testing.T) Store) {
	s := open(t)
	ctx := tenantContext(t, tenant.Default)
	for name, test := range map[string]func(*testing.T, context.Context, Store){
		"Cancel queued":     cancelsWhatWasNotBegun,
		"Cancel running":    cancelsWhatIsUnderWay,
		"Cancel half":       cancelsWhatHasNotSucceeded,
		"Cancel live":       cancelsWithoutTouchingThePublishedVersion,
		"Cancel superseded": cancelsOneJobOnly,
		"Cancel ended":      cancelsNothingThatHasEnded,
		"Cancel at once":    cancelsBesideWorkers,
		"Retry failed":      retriesWhatFailed,
		"Retry cancelled":   retriesWhatWasCancelled,
		"Retry half":        retriesWhatHasNotSucceeded,
		"Retry live":        retriesWithoutTouchingThePublishedVersion,
		"Retry unended":     retriesNothingThatIsUnderWay,
		"Retry waiting":     retriesWhatWaits,
		"Retry pointless":   retriesNothingPointless,
	} {
		t.Run(name, func(t *testing.T) { test(t, ctx, s) })
	}
}

func cancel(t *testing.T, ctx context.Context, s Store, job document.Job) document.Job {
	t.Helper()
	cancelled, err := s.CancelJob(ctx, job.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(readJob(t, ctx, s, job.ID), cancelled); diff != "" {
		t.Errorf("the answer is not the job (-want +got):\n%s", diff)
	}
	return cancelled
}

func retry(t *testing.T, ctx context.Context, s Store, job document.Job) document.Job {
	t.Helper()
	retried, err := s.RetryJob(ctx, job.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(readJob(t, ctx, s, job.ID), retried); diff != "" {
		t.Errorf("the answer is not the job (-want +got):\n%s", diff)
	}
	return retried
}

// wantDocument checks what readers see of a document.
func wantDocument(t *testing.T, ctx context.Context, s Store, id uuid.UUID, state document.DocumentState, version int) {
	t.Helper()
	if d := readDocument(t, ctx, s, id); d.State != state || d.Version != version {
		t.Errorf("document: got %s, version %d; want %s, version %d", d.State, d.Version, state, version)
	}
}

func cancelsWhatWasNotBegun(t *testing.T, ctx context.Context, s Store) {
	accepted := acceptUpload(t, ctx, s, uploadOf(ensureCollection(t, ctx, s, "cancel"), "queued"))
	got := cancel(t, ctx, s, accepted.Job)
	if got.State != document.JobCancelled || got.Error != "cancelled on request" || got.FinishedAt == nil || got.Tasks.Summary.State != document.JobCancelled {
		t.Errorf("job: got %+v, want it cancelled on request", got)
	}
	wantDocument(t, ctx, s, accepted.Document.ID, document.DocumentFailed, 1)
	for _, kind := range task.JobKinds {
		_, err := s.Claim(ctx, taskRefOf(t, ctx, accepted.Job, kind), leaseTime)
		wantFault(t, err, fault.NotFound)
	}
	if diff := cmp.Diff(got, cancel(t, ctx, s, accepted.Job)); diff != "" {
		t.Errorf("cancelling again changed the job (-want +got):\n%s", diff)
	}
}

func cancelsWhatIsUnderWay(t *testing.T, ctx context.Context, s Store) {
	job := acceptUpload(t, ctx, s, uploadOf(ensureCollection(t, ctx, s, "cancel"), "running")).Job
	work := claimTask(t, ctx, s, job, task.KindKnowledge)
	waiting := claimTask(t, ctx, s, job, task.KindSummary)
	recordOutcome(t, ctx, s, waiting, task.Outcome{Verdict: task.VerdictWait, Error: "model down", Delay: time.Hour})
	got := cancel(t, ctx, s, job)
	if got.State != document.JobCancelled || got.NextAttemptAt != nil || got.Tasks.Summary.Error != "cancelled on request" {
		t.Errorf("job: got %+v, want it cancelled on request", got)
	}
	one := passageOf("cancelled", 1, 0, 0)
	wantFault(t, s.RenewLease(ctx, work, leaseTime), fault.LeaseLost)
	wantFault(t, s.WriteBatch(ctx, work, batchOf(0, one), document.KnowledgeProgress{}), fault.LeaseLost)
	wantFault(t, s.Publish(ctx, work, nil, document.KnowledgeProgress{}), fault.LeaseLost)
	wantFault(t, s.RecordOutcome(ctx, work, task.Outcome{Verdict: task.VerdictRetry}), fault.LeaseLost)
}

func cancelsWhatHasNotSucceeded(t *testing.T, ctx context.Context, s Store) {
	accepted := acceptUpload(t, ctx, s, uploadOf(ensureCollection(t, ctx, s, "cancel"), "half"))
	publishJob(t, ctx, s, accepted.Job, passageOf("one", 1, 0, 0))
	got := cancel(t, ctx, s, accepted.Job)
	if got.State != document.JobCancelled || got.Tasks.Knowledge.State != document.JobSucceeded || got.Tasks.Summary.State != document.JobCancelled {
		t.Errorf("job: got %+v, want only its summary cancelled", got)
	}
	wantDocument(t, ctx, s, accepted.Document.ID, document.DocumentReady, 1)

	half := acceptUpload(t, ctx, s, uploadOf(ensureCollection(t, ctx, s, "cancel"), "half failed")).Job
	recordOutcome(t, ctx, s, claimTask(t, ctx, s, half, task.KindKnowledge), task.Outcome{Verdict: task.VerdictFail, Error: "broken"})
	if got := cancel(t, ctx, s, half); got.State != document.JobFailed || got.Error != "broken" || got.FinishedAt == nil {
		t.Errorf("job: got %+v, want it failed: one of its tasks has", got)
	}
}

func cancelsWithoutTouchingThePublishedVersion(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "cancel")
	first := publishDocument(t, ctx, s, uploadOf(c, "live"), passageOf("one", 1, 0, 0))
	second := acceptUpload(t, ctx, s, uploadOf(c, "live"))
	claimTask(t, ctx, s, second.Job, task.KindKnowledge)
	cancel(t, ctx, s, second.Job)
	wantDocument(t, ctx, s, first.Document.ID, document.DocumentReady, 1)
	if got := listPassages(t, ctx, s, first.Document.ID, 10); len(got) != 1 {
		t.Errorf("readers see %d passages, want 1", len(got))
	}
}

func cancelsOneJobOnly(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "cancel")
	first := acceptUpload(t, ctx, s, uploadOf(c, "superseded"))
	claimTask(t, ctx, s, first.Job, task.KindKnowledge)
	second := acceptUpload(t, ctx, s, uploadOf(c, "superseded"))
	cancel(t, ctx, s, first.Job)
	if got := readJob(t, ctx, s, second.Job.ID); got.State != document.JobQueued {
		t.Errorf("the next version's job: got %s, want queued", got.State)
	}
	wantDocument(t, ctx, s, first.Document.ID, document.DocumentPending, 2)
}

func cancelsNothingThatHasEnded(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "cancel")
	done := publishDocument(t, ctx, s, uploadOf(c, "done"), passageOf("one", 1, 0, 0)).Job
	failed := acceptUpload(t, ctx, s, uploadOf(c, "failed")).Job
	failJob(t, ctx, s, failed)
	for _, job := range []document.Job{done, failed} {
		before := readJob(t, ctx, s, job.ID)
		_, err := s.CancelJob(ctx, job.ID)
		wantFault(t, err, fault.Conflict)
		if diff := cmp.Diff(before, readJob(t, ctx, s, job.ID)); diff != "" {
			t.Errorf("the job was changed (-before +after):\n%s", diff)
		}
	}
	_, err := s.CancelJob(ctx, uuid.New())
	wantFault(t, err, fault.NotFound)
}

// Workers and clients lock in one order, so that none waits for ever.
func cancelsBesideWorkers(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "cancel at once")
	for range 5 {
		job := acceptUpload(t, ctx, s, uploadOf(c, uuid.NewString())).Job
		works := []task.Work{claimTask(t, ctx, s, job, task.KindKnowledge), claimTask(t, ctx, s, job, task.KindSummary)}
		concurrently(t, 4, func(i int) error {
			if i >= len(works) {
				_, err := s.CancelJob(ctx, job.ID)
				return err
			}
			err := s.RecordOutcome(ctx, works[i], task.Outcome{Verdict: task.VerdictRetry})
			if fault.Is(err, fault.LeaseLost) {
				return nil
			}
			return err
		})
		if got := readJob(t, ctx, s, job.ID); got.State != document.JobCancelled {
			t.Errorf("got %s, want cancelled", got.State)
		}
	}
}

// wantFreshStart checks that a task is as if it had just been accepted.
func wantFreshStart(t *testing.T, task document.Task) {
	t.Helper()
	if diff := cmp.Diff(document.Task{State: document.JobQueued}, task); diff != "" {
		t.Errorf("task (-want +got):\n%s", diff)
	}
}

func retriesWhatFailed(t *testing.T, ctx context.Context, s Store) {
	accepted := acceptUpload(t, ctx, s, uploadOf(ensureCollection(t, ctx, s, "retry"), "failed"))
	ref := taskRefOf(t, ctx, accepted.Job, task.KindKnowledge)
	if _, err := s.Claim(ctx, ref, -leaseTime); err != nil { // and crash
		t.Fatal(err)
	}
	failJob(t, ctx, s, accepted.Job)
	got := retry(t, ctx, s, accepted.Job)
	if got.State != document.JobQueued || got.Error != "" || got.FinishedAt != nil {
		t.Errorf("job: got %+v, want it queued", got)
	}
	wantFreshStart(t, got.Tasks.Knowledge.Task)
	wantFreshStart(t, got.Tasks.Summary.Task)
	wantDocument(t, ctx, s, accepted.Document.ID, document.DocumentPending, 1)

	dispatched, err := s.Dispatch(ctx, map[task.Kind]int{task.KindKnowledge: 1000})
	if err != nil {
		t.Fatal(err)
	}
	var rounds []int
	for _, d := range dispatched {
		if d.Ref == ref {
			rounds = append(rounds, d.Round)
		}
	}
	if diff := cmp.Diff([]int{3}, rounds); diff != "" { // after two claims and a retry
		t.Errorf("dispatched in these rounds (-want +got):\n%s", diff)
	}
	if work := claimTask(t, ctx, s, accepted.Job, task.KindKnowledge); work.Attempt != 1 || work.Crashes != 0 {
		t.Errorf("got attempt %d with %d crashes, want the first with none", work.Attempt, work.Crashes)
	}
}

func retriesWhatWasCancelled(t *testing.T, ctx context.Context, s Store) {
	accepted := acceptUpload(t, ctx, s, uploadOf(ensureCollection(t, ctx, s, "retry"), "cancelled"))
	claimTask(t, ctx, s, accepted.Job, task.KindKnowledge)
	cancel(t, ctx, s, accepted.Job)
	retry(t, ctx, s, accepted.Job)
	publishJob(t, ctx, s, accepted.Job, passageOf("one", 1, 0, 0))
	finishSummary(t, ctx, s, accepted.Job, "one")
	if got := readJob(t, ctx, s, accepted.Job.ID); got.State != document.JobSucceeded {
		t.Errorf("job: got %s, want succeeded", got.State)
	}
	wantDocument(t, ctx, s, accepted.Document.ID, document.DocumentReady, 1)
}

func retriesWhatHasNotSucceeded(t *testing.T, ctx context.Context, s Store) {
	accepted := acceptUpload(t, ctx, s, uploadOf(ensureCollection(t, ctx, s, "retry"), "half"))
	publishJob(t, ctx, s, accepted.Job, passageOf("one", 1, 0, 0))
	recordOutcome(t, ctx, s, claimTask(t, ctx, s, accepted.Job, task.KindSummary), task.Outcome{Verdict: task.VerdictFail, Error: "no words"})
	before := readJob(t, ctx, s, accepted.Job.ID)
	got := retry(t, ctx, s, accepted.Job)
	if got.State != document.JobRunning || got.Error != "" {
		t.Errorf("job: got %+v, want it running: one task is done, one is not", got)
	}
	if diff := cmp.Diff(before.Tasks.Knowledge, got.Tasks.Knowledge); diff != "" {
		t.Errorf("the task that succeeded was changed (-before +after):\n%s", diff)
	}
	wantFreshStart(t, got.Tasks.Summary.Task)
	wantDocument(t, ctx, s, accepted.Document.ID, document.DocumentReady, 1)
}

func retriesWithoutTouchingThePublishedVersion(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "retry")
	publishDocument(t, ctx, s, uploadOf(c, "live"), passageOf("one", 1, 0, 0))
	second := acceptUpload(t, ctx, s, uploadOf(c, "live"))
	failJob(t, ctx, s, second.Job)
	retry(t, ctx, s, second.Job)
	wantDocument(t, ctx, s, second.Document.ID, document.DocumentReady, 1)
}

func retriesNothingThatIsUnderWay(t *testing.T, ctx context.Context, s Store) {
	job := acceptUpload(t, ctx, s, uploadOf(ensureCollection(t, ctx, s, "retry"), "under way")).Job
	recordOutcome(t, ctx, s, claimTask(t, ctx, s, job, task.KindSummary), task.Outcome{Verdict: task.VerdictFail, Error: "no words"})
	work := claimTask(t, ctx, s, job, task.KindKnowledge)
	before := readJob(t, ctx, s, job.ID)
	if diff := cmp.Diff(before, retry(t, ctx, s, job)); diff != "" {
		t.Errorf("the job was changed (-before +after):\n%s", diff)
	}
	if err := s.RenewLease(ctx, work, leaseTime); err != nil {
		t.Error(err)
	}
}

func retriesWhatWaits(t *testing.T, ctx context.Context, s Store) {
	job := acceptUpload(t, ctx, s, uploadOf(ensureCollection(t, ctx, s, "retry"), "waiting")).Job
	recordOutcome(t, ctx, s, claimTask(t, ctx, s, job, task.KindKnowledge), task.Outcome{Verdict: task.VerdictRetry, Error: "internal error", Delay: 0})
	recordOutcome(t, ctx, s, claimTask(t, ctx, s, job, task.KindKnowledge), task.Outcome{Verdict: task.VerdictWait, Error: "wrong key", Delay: time.Hour})
	running := claimTask(t, ctx, s, job, task.KindSummary)
	waiting := readJob(t, ctx, s, job.ID)
	got := retry(t, ctx, s, job)
	if k := got.Tasks.Knowledge; k.State != document.JobQueued || k.Error != "" || k.Attempt != waiting.Tasks.Knowledge.Attempt || got.NextAttemptAt != nil {
		t.Errorf("the task that waited is %+v, was %+v; want it queued with the attempts that it has used up", k, waiting.Tasks.Knowledge)
	}
	if got.Tasks.Summary.State != document.JobRunning {
		t.Errorf("the task that runs is %s", got.Tasks.Summary.State)
	}
	if err := s.RenewLease(ctx, running, leaseTime); err != nil {
		t.Error(err)
	}
	if work := claimTask(t, ctx, s, job, task.KindKnowledge); work.Attempt != waiting.Tasks.Knowledge.Attempt+1 {
		t.Errorf("attempt %d follows attempt %d", work.Attempt, waiting.Tasks.Knowledge.Attempt)
	}
}

func retriesNothingPointless(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "retry")
	done := publishDocument(t, ctx, s, uploadOf(c, "done"), passageOf("one", 1, 0, 0)).Job
	superseded := acceptUpload(t, ctx, s, uploadOf(c, "superseded")).Job
	failJob(t, ctx, s, superseded)
	acceptUpload(t, ctx, s, uploadOf(c, "superseded"))
	deleted := acceptUpload(t, ctx, s, uploadOf(c, "deleted")).Job
	if err := s.DeleteDocument(ctx, deleted.DocumentID); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		what string
		job  uuid.UUID
		want fault.Kind
	}{
		{"succeeded", done.ID, fault.Conflict},
		{"superseded", superseded.ID, fault.Conflict},
		{"deleted", deleted.ID, fault.NotFound},
		{"unknown", uuid.New(), fault.NotFound},
	} {
		if _, err := s.RetryJob(ctx, test.job); !fault.Is(err, test.want) {
			t.Errorf("%s: got error %v, want one of kind %s", test.what, err, test.want)
		}
	}
	if got := readJob(t, ctx, s, superseded.ID); got.State != document.JobFailed {
		t.Errorf("superseded: got %s, want failed still", got.State)
	}
}
