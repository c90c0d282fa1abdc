package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/rebuild"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

func claimsReindexes(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "claim reindex")
	r := beginReindex(t, ctx, s, changeModelRequest(c))
	ref := reindexRef(t, ctx, r.ID)
	got := claimReindex(t, ctx, s, r.ID)
	want := task.Work{Ref: ref, JobID: r.ID, Lease: got.Lease, Attempt: 1, Collection: c.Name, Space: got.Space}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(task.Work{}, "OtherSpaces")); diff != "" || got.Lease == uuid.Nil {
		t.Errorf("work, lease %s (-want +got):\n%s", got.Lease, diff)
	}
	begun := readReindex(t, ctx, s, r.ID)
	r.State, r.Attempt, r.StartedAt, r.Progress = document.JobRunning, 1, begun.StartedAt, begun.Progress
	if diff := cmp.Diff(r, begun); diff != "" || begun.StartedAt == nil || begun.StartedAt.Before(r.CreatedAt) {
		t.Errorf("reindex, started at %v (-want +got):\n%s", begun.StartedAt, diff)
	}
	_, err := s.Claim(ctx, ref, leaseTime)
	wantFault(t, err, fault.Conflict)
	if err := s.RenewLease(ctx, got, leaseTime); err != nil {
		t.Error(err)
	}
	ref.Version = 2
	_, err = s.Claim(ctx, ref, leaseTime)
	wantFault(t, err, fault.NotFound)
}

// A reindex takes long, and its workers may be lost again and again.
func resetsCrashesOnProgress(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "claim progress")
	var documents []rebuild.MissingVersion
	for _, key := range []string{"a", "b", "c", "d"} {
		upload := uploadOf(c, key)
		accepted := publishDocument(t, ctx, s, upload, passageOf("progress "+key, 1, 0, 0))
		documents = append(documents, missingVersionOf(upload, accepted))
	}
	id := beginReindex(t, ctx, s, changeModelRequest(c)).ID
	for i, d := range documents {
		work, err := s.Claim(ctx, reindexRef(t, ctx, id), -leaseTime)
		if err != nil {
			t.Fatal(err)
		}
		attempt, crashes := min(i, 1)+1, min(i, 1)
		if work.Attempt != attempt || work.Crashes != crashes {
			t.Errorf("claim %d: attempt %d after %d crashes, want %d after %d", i+1, work.Attempt, work.Crashes, attempt, crashes)
		}
		p := passageOf("progress "+d.Key, make([]float32, work.Space.Model.Dimensions)...)
		writeToSpace(t, ctx, s, work, spaceWriteOf(d, p))
	}
}

// An attempt that has progressed is the first one again, also when it is given back.
func resetsAttemptsOnProgress(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "attempt progress")
	publishTexts(t, ctx, s, c, "a", "one")
	id := beginReindex(t, ctx, s, changeModelRequest(c)).ID
	for range 2 {
		recordOutcome(t, ctx, s, claimReindex(t, ctx, s, id), task.Outcome{Verdict: task.VerdictRetry, Error: "odd"})
	}
	work := claimReindex(t, ctx, s, id)
	if work.Attempt != 3 {
		t.Errorf("got attempt %d, want 3", work.Attempt)
	}
	writeMissing(t, ctx, s, work)
	recordOutcome(t, ctx, s, work, task.Outcome{Verdict: task.VerdictWait, Error: "down"})
	if again := claimReindex(t, ctx, s, id); again.Attempt != 1 {
		t.Errorf("after progress: got attempt %d, want 1", again.Attempt)
	}
}

// A step that belongs to the other kind of reindex is a defect of its caller: the reindex
// does not succeed by it.
func refusesStepsOfOtherReindexes(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "another step")
	publishTexts(t, ctx, s, c, "a", "one")
	unchanged := startReindex(t, ctx, s, document.ReindexRequest{Collection: c.Name, Force: true})
	wantDefect(t, ctx, s, "switch", unchanged, s.ActivateSpace(ctx, unchanged, leaseTime, document.ReindexProgress{}))
	_, err := s.PlanRebuild(ctx, unchanged)
	wantDefect(t, ctx, s, "rebuild", unchanged, err)
	cancelReindex(t, ctx, s, unchanged.JobID, leaseTime)

	building := startReindex(t, ctx, s, changeModelRequest(c))
	_, err = s.RequeueDocuments(ctx, building, 10)
	wantDefect(t, ctx, s, "requeue", building, err)
}

// wantDefect checks for an error without a kind that leaves a reindex running.
func wantDefect(t *testing.T, ctx context.Context, s Store, when string, work task.Work, err error) {
	t.Helper()
	if err == nil || fault.As(err) != nil {
		t.Errorf("%s: got error %v, want an internal one", when, err)
	}
	if got := readReindex(t, ctx, s, work.JobID); got.State != document.JobRunning {
		t.Errorf("%s: the reindex is %s, want it running", when, got.State)
	}
}

func countsCrashesOfReindexes(t *testing.T, ctx context.Context, s Store) {
	id := beginReindex(t, ctx, s, changeModelRequest(ensureCollection(t, ctx, s, "claim expired"))).ID
	for i, step := range []struct {
		ttl              time.Duration
		settle           task.Verdict // "" for a crash
		attempt, crashes int
	}{
		{leaseTime, task.VerdictRetry, 1, 0},
		{-leaseTime, "", 2, 0},
		{-leaseTime, "", 3, 1},
		{leaseTime, task.VerdictWait, 4, 2},
		{leaseTime, task.VerdictFail, 4, 2},
	} {
		work, err := s.Claim(ctx, reindexRef(t, ctx, id), step.ttl)
		if err != nil {
			t.Fatal(err)
		}
		if work.Attempt != step.attempt || work.Crashes != step.crashes {
			t.Errorf("claim %d: got attempt %d with %d crashes, want attempt %d with %d",
				i, work.Attempt, work.Crashes, step.attempt, step.crashes)
		}
		if step.settle != "" {
			recordOutcome(t, ctx, s, work, task.Outcome{Verdict: step.settle, Error: "odd"})
		}
	}
}

func recordsOutcomesOfReindexes(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "settle reindex")
	id := beginReindex(t, ctx, s, changeModelRequest(c)).ID
	ref := reindexRef(t, ctx, id)
	check := func(verdict task.Verdict, delay time.Duration, state document.JobState, attempt int) document.Reindex {
		t.Helper()
		work := claimReindex(t, ctx, s, id)
		if got := readReindex(t, ctx, s, id); got.Error != "" || got.NextAttemptAt != nil {
			t.Errorf("while it runs: got error %q, next attempt %v", got.Error, got.NextAttemptAt)
		}
		recordOutcome(t, ctx, s, work, task.Outcome{Verdict: verdict, Error: "provider \x00down", Delay: delay})
		wantFault(t, s.RenewLease(ctx, work, leaseTime), fault.LeaseLost)
		got := readReindex(t, ctx, s, id)
		if got.State != state || got.Attempt != attempt || got.Error == "" || got.Stage != document.StageDocuments {
			t.Errorf("%s: got %+v, want it %s after %d attempts", verdict, got, state, attempt)
		}
		return got
	}
	check(task.VerdictRetry, 0, document.JobWaiting, 1)
	check(task.VerdictWait, 0, document.JobWaiting, 1)
	waiting := check(task.VerdictWait, time.Minute, document.JobWaiting, 1)
	if next := waiting.NextAttemptAt; next == nil || !next.After(waiting.CreatedAt) || waiting.FinishedAt != nil {
		t.Errorf("next attempt at %v, finished at %v", next, waiting.FinishedAt)
	}
	_, err := s.Claim(ctx, ref, leaseTime)
	wantFault(t, err, fault.Unavailable)
	if after := fault.As(err).RetryAfter; after <= 0 || after > time.Minute {
		t.Errorf("retry after %s, want what is left of a minute", after)
	}

	id = controlReindex(t, ctx, s, s.PauseReindex, id).ID // which ends the wait
	controlReindex(t, ctx, s, s.ResumeReindex, id)
	failed := check(task.VerdictFail, 0, document.JobFailed, 1)
	if failed.FinishedAt == nil || failed.NextAttemptAt != nil || failed.RevertibleUntil != nil {
		t.Errorf("failed: got %+v, want it finished", failed)
	}
	_, err = s.Claim(ctx, ref, leaseTime)
	wantFault(t, err, fault.NotFound)
	wantOtherSpaces(t, ctx, s, "failed", c)
	wantHits(t, ctx, s, "failed", c)
}

// wantLeaseLost checks that nothing is done for a work whose lease is lost.
func wantLeaseLost(t *testing.T, ctx context.Context, s Store, when string, work task.Work) {
	t.Helper()
	before := readReindex(t, ctx, s, work.JobID)
	progress := document.ReindexProgress{Documents: 99, Embedded: 99}
	late := passagesIn(work.Space, "too late: "+when)
	for name, call := range map[string]func() error{
		"Renew": func() error { return s.RenewLease(ctx, work, leaseTime) },
		"Settle": func() error {
			return s.RecordOutcome(ctx, work, task.Outcome{Verdict: task.VerdictFail, Error: "stale"})
		},
		"Rebuild":         func() error { _, err := s.PlanRebuild(ctx, work); return err },
		"MissingVersions": func() error { _, err := s.MissingVersions(ctx, work, uuid.Nil, 10); return err },
		"Place": func() error {
			return s.WriteToSpace(ctx, work, rebuild.SpaceWrite{New: late, Checkpoint: uuid.New()}, progress)
		},
		"SetStage": func() error { return s.SetReindexStage(ctx, work, document.StageVerify, progress) },
		"Verify":   func() error { return s.VerifySpace(ctx, work, 10) },
		"Switch":   func() error { return s.ActivateSpace(ctx, work, leaseTime, progress) },
		"Requeue":  func() error { _, err := s.RequeueDocuments(ctx, work, 10); return err },
	} {
		if err := call(); !fault.Is(err, fault.LeaseLost) {
			t.Errorf("%s: %s: got error %v, want one of kind lease_lost", when, name, err)
		}
	}
	if diff := cmp.Diff(before, readReindex(t, ctx, s, work.JobID)); diff != "" {
		t.Errorf("%s: what the lost lease did (-before +after):\n%s", when, diff)
	}
	wantReusable(t, ctx, s, work.Space, late)
}

func refusesStaleLeasesOfReindexes(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "lost lease")
	for name, request := range map[string]document.ReindexRequest{
		"model":   changeModelRequest(c),
		"nothing": {Collection: c.Name, Force: true},
	} {
		publishTexts(t, ctx, s, c, name, "one")
		id := beginReindex(t, ctx, s, request).ID
		stale, err := s.Claim(ctx, reindexRef(t, ctx, id), -leaseTime)
		if err != nil {
			t.Fatal(err)
		}
		claimReindex(t, ctx, s, id)
		wantLeaseLost(t, ctx, s, name, stale)
		if got := newestJobs(t, ctx, s, c.Name, 1)[0]; got.State != document.JobSucceeded {
			t.Errorf("%s: the lost lease made a job: %+v", name, got)
		}
		cancelReindex(t, ctx, s, id, leaseTime)
	}
	if got := readCollection(t, ctx, s, c); got.ActiveSpace.ID != c.ActiveSpace.ID {
		t.Errorf("the lost lease switched to %+v", got.ActiveSpace)
	}
}
