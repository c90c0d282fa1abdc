package lifecycle

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// jobTest is one event on a job. want changes the job into the state that must follow; nil means
// that the job stays as it is.
type jobTest struct {
	was  Job
	want func(*Job)
	kind fault.Kind
}

func runJobTests(t *testing.T, event func(Job) (Job, error), tests map[string]jobTest) {
	t.Helper()
	for name, test := range tests {
		want := test.was
		if test.want != nil {
			test.want(&want)
		}
		got, err := event(test.was)
		check(t, name, want, got, test.kind, err)
	}
}

// checkMatrix runs an event on jobs with every pair of states. A row of the matrix is for a state of
// the knowledge task, a column for one of the summary task, both in the order of document.JobStates.
// A cell has the first letters of the states that follow, or -- if the event must be refused with
// fault.Conflict. A task whose state stays must stay as it is.
func checkMatrix(t *testing.T, event func(Job) (Job, error), matrix string) {
	t.Helper()
	cells := strings.Fields(matrix)
	if len(cells) != len(document.JobStates)*len(document.JobStates) {
		t.Fatalf("the matrix has %d cells", len(cells))
	}
	for i, cell := range cells {
		was := jobIn(document.JobStates[i/len(document.JobStates)], document.JobStates[i%len(document.JobStates)])
		name := string(was.Knowledge.State + " " + was.Summary.State)
		got, err := event(was)
		switch {
		case cell == "--":
			check(t, name, was, got, fault.Conflict, err)
		case err != nil || string(got.Knowledge.State[0])+string(got.Summary.State[0]) != cell:
			t.Errorf("%s: got %s %s, %v, want %s", name, got.Knowledge.State, got.Summary.State, err, cell)
		}
		for _, tasks := range [][2]Task{{was.Knowledge, got.Knowledge}, {was.Summary, got.Summary}} {
			if tasks[0].State == tasks[1].State && tasks[0] != tasks[1] {
				t.Errorf("%s: the task changed (-was +is):\n%s", name, cmp.Diff(tasks[0], tasks[1]))
			}
		}
	}
}

func TestClaim(t *testing.T) {
	t.Parallel()
	running := func(attempt, crashes int) func(*Job) {
		return func(j *Job) {
			k := &j.Knowledge
			k.State, k.Attempt, k.Crashes, k.Round, k.Error = document.JobRunning, attempt, crashes, 6, ""
			k.Lease, k.LeaseUntil, k.NextAttemptAt = other, now.Add(time.Hour), time.Time{}
			j.State = document.JobRunning
		}
	}
	cancelled := func(reason string, job document.JobState) func(*Job) {
		return func(j *Job) {
			k := &j.Knowledge
			k.State, k.Error, k.Lease, k.LeaseUntil, k.NextAttemptAt = document.JobCancelled, reason, uuid.Nil, time.Time{}, time.Time{}
			if j.State = job; job.Ended() {
				j.FinishedAt = now
			}
		}
	}
	expired := func(j *Job) { j.Knowledge.LeaseUntil = now }
	due := func(j *Job) { j.Knowledge.NextAttemptAt = now }
	runJobTests(t, func(j Job) (Job, error) { return j.Claim(task.KindKnowledge, other, time.Hour, now) }, map[string]jobTest{
		"queued":                          {jobIn("queued", "queued"), running(1, 0), ""},
		"running":                         {jobIn("running", "queued"), nil, fault.Conflict},
		"running, expired":                {jobIn("running", "queued", expired), running(4, 3), ""},
		"waiting":                         {jobIn("waiting", "queued"), nil, fault.Unavailable},
		"waiting, due":                    {jobIn("waiting", "queued", due), running(4, 2), ""},
		"succeeded":                       {jobIn("succeeded", "queued"), nil, fault.NotFound},
		"failed":                          {jobIn("failed", "queued"), nil, fault.NotFound},
		"cancelled":                       {jobIn("cancelled", "queued"), nil, fault.NotFound},
		"superseded, queued":              {jobIn("queued", "running", newest(3)), cancelled("superseded by version 3", "running"), fault.NotFound},
		"superseded, running, expired":    {jobIn("running", "queued", expired, newest(3)), running(4, 3), ""},
		"superseded, waiting, due":        {jobIn("waiting", "queued", due, newest(3)), running(4, 2), ""},
		"superseded and deleted":          {jobIn("queued", "succeeded", newest(3), deleted), cancelled("document deleted", "cancelled"), fault.NotFound},
		"deleted, queued":                 {jobIn("queued", "queued", deleted), cancelled("document deleted", "running"), fault.NotFound},
		"deleted, running":                {jobIn("running", "failed", deleted), cancelled("document deleted", "failed"), fault.NotFound},
		"deleted, waiting":                {jobIn("waiting", "succeeded", deleted), cancelled("document deleted", "cancelled"), fault.NotFound},
		"deleted, ended":                  {jobIn("failed", "queued", deleted), nil, fault.NotFound},
		"first claim of both tasks":       {jobIn("queued", "queued", neverStarted), func(j *Job) { running(1, 0)(j); j.StartedAt = now }, ""},
		"the other task began before":     {jobIn("queued", "failed", neverStarted), func(j *Job) { running(1, 0)(j); j.StartedAt = now }, ""},
		"claimed under this lease before": {jobIn("running", "queued", func(j *Job) { j.Knowledge.Lease = other }), nil, ""},
	})
	runJobTests(t, func(j Job) (Job, error) { return j.Claim(task.KindSummary, other, time.Hour, now) }, map[string]jobTest{
		"of the summary": {jobIn("running", "queued"), func(j *Job) {
			s := &j.Summary
			s.State, s.Attempt, s.Round, s.Lease, s.LeaseUntil = document.JobRunning, 1, 6, other, now.Add(time.Hour)
		}, ""},
		"of the summary, ended": {jobIn("running", "failed"), nil, fault.NotFound},
	})
	runJobTests(t, func(j Job) (Job, error) { return j.Claim(task.KindReindex, other, time.Hour, now) }, map[string]jobTest{
		"of another kind": {jobIn("queued", "queued"), nil, fault.NotFound},
	})
}

func neverStarted(j *Job) { j.StartedAt = time.Time{} }

// ended returns a change that ends the knowledge task and the job.
func ended(state document.JobState, reason string, job document.JobState, of document.DocumentState) func(*Job) {
	return func(j *Job) {
		k := &j.Knowledge
		k.State, k.Error, k.Lease, k.LeaseUntil, k.NextAttemptAt = state, reason, uuid.Nil, time.Time{}, time.Time{}
		if j.State, j.Document.State = job, of; job.Ended() {
			j.FinishedAt = now
		}
	}
}

func TestRecordOutcome(t *testing.T) {
	t.Parallel()
	record := func(verdict task.Verdict) func(Job) (Job, error) {
		return func(j Job) (Job, error) {
			return j.RecordOutcome(workOf(task.KindKnowledge), task.Outcome{Verdict: verdict, Error: "why", Delay: time.Second}, now)
		}
	}
	runJobTests(t, record(task.VerdictFail), map[string]jobTest{
		"fail":                                    {jobIn("running", "succeeded"), ended("failed", "why", "failed", "failed"), ""},
		"fail, the summary is queued":             {jobIn("running", "queued"), ended("failed", "why", "running", "failed"), ""},
		"fail, an earlier version is published":   {jobIn("running", "succeeded", published(1)), ended("failed", "why", "failed", "ready"), ""},
		"fail, superseded":                        {jobIn("running", "succeeded", newest(3)), ended("failed", "why", "failed", "pending"), ""},
		"fail, deleted":                           {jobIn("running", "succeeded", deleted), ended("failed", "why", "failed", "deleting"), ""},
		"fail, under another lease":               {jobIn("running", "succeeded", func(j *Job) { j.Knowledge.Lease = other }), nil, fault.LeaseLost},
		"fail, the summary has that lease":        {jobIn("queued", "running"), nil, fault.LeaseLost},
		"fail, queued":                            {jobIn("queued", "succeeded"), nil, fault.LeaseLost},
		"fail, waiting":                           {jobIn("waiting", "succeeded"), nil, fault.LeaseLost},
		"fail, succeeded":                         {jobIn("succeeded", "succeeded"), nil, fault.LeaseLost},
		"fail, failed":                            {jobIn("failed", "succeeded"), nil, fault.LeaseLost},
		"fail, cancelled":                         {jobIn("cancelled", "succeeded"), nil, fault.LeaseLost},
		"fail, the lease has expired but is held": {jobIn("running", "failed", func(j *Job) { j.Knowledge.LeaseUntil = now.Add(-1) }), ended("failed", "why", "failed", "failed"), ""},
	})
	waiting := func(attempt int) func(*Job) {
		return func(j *Job) {
			ended("waiting", "why", "waiting", "pending")(j)
			j.Knowledge.Attempt, j.Knowledge.NextAttemptAt = attempt, now.Add(time.Second)
		}
	}
	runJobTests(t, record(task.VerdictCancel), map[string]jobTest{"cancel": {jobIn("running", "succeeded"), ended("cancelled", "why", "cancelled", "failed"), ""}})
	runJobTests(t, record(task.VerdictRetry), map[string]jobTest{"retry": {jobIn("running", "succeeded"), waiting(3), ""}})
	runJobTests(t, record(task.VerdictWait), map[string]jobTest{"wait": {jobIn("running", "succeeded"), waiting(2), ""}})
	runJobTests(t, record("another"), map[string]jobTest{"unknown": {jobIn("running", "succeeded"), nil, fault.Internal}})
	runJobTests(t, func(j Job) (Job, error) {
		work := workOf(task.KindKnowledge)
		work.Lease = uuid.Nil
		return j.RecordOutcome(work, task.Outcome{Verdict: task.VerdictFail}, now)
	}, map[string]jobTest{"without a lease": {jobIn("queued", "queued"), nil, fault.LeaseLost}})
}

func TestFinish(t *testing.T) {
	t.Parallel()
	succeeded := func(j *Job) {
		s := &j.Summary
		s.State, s.Lease, s.LeaseUntil = document.JobSucceeded, uuid.Nil, time.Time{}
		if j.Knowledge.State.Ended() {
			j.State, j.FinishedAt = j.Knowledge.State, now
		}
	}
	runJobTests(t, func(j Job) (Job, error) { return j.Finish(workOf(task.KindSummary), now) }, map[string]jobTest{
		"running":                {jobIn("queued", "running"), succeeded, ""},
		"the last one":           {jobIn("succeeded", "running"), succeeded, ""},
		"the other failed":       {jobIn("failed", "running"), succeeded, ""},
		"the other is cancelled": {jobIn("cancelled", "running"), succeeded, ""},
		"lease lost":             {jobIn("queued", "running", func(j *Job) { j.Summary.Lease = other }), nil, fault.LeaseLost},
		"cancelled":              {jobIn("queued", "cancelled"), nil, fault.LeaseLost},
		"of the knowledge task":  {jobIn("running", "queued"), nil, fault.LeaseLost},
	})
}

func TestPublish(t *testing.T) {
	t.Parallel()
	publish := func(job document.JobState) func(*Job) {
		return func(j *Job) {
			ended("succeeded", "", job, "ready")(j)
			j.Document.Published = 2
		}
	}
	runJobTests(t, func(j Job) (Job, error) { return j.Publish(workOf(task.KindKnowledge), now) }, map[string]jobTest{
		"the first version":              {jobIn("running", "succeeded"), publish("succeeded"), ""},
		"before the summary":             {jobIn("running", "queued"), publish("running"), ""},
		"the summary failed":             {jobIn("running", "failed"), publish("failed"), ""},
		"over an earlier version":        {jobIn("running", "succeeded", published(1)), publish("succeeded"), ""},
		"superseded, not yet published":  {jobIn("running", "succeeded", newest(3)), publish("succeeded"), ""},
		"a newer version is published":   {jobIn("running", "succeeded", newest(3), published(3)), ended("cancelled", "superseded by version 3", "cancelled", "ready"), ""},
		"a newer version and no lease":   {jobIn("queued", "succeeded", newest(3), published(3)), nil, fault.LeaseLost},
		"under another lease":            {jobIn("running", "succeeded", func(j *Job) { j.Knowledge.Lease = other }), nil, fault.LeaseLost},
		"queued":                         {jobIn("queued", "succeeded"), nil, fault.LeaseLost},
		"waiting":                        {jobIn("waiting", "succeeded"), nil, fault.LeaseLost},
		"succeeded":                      {jobIn("succeeded", "succeeded"), nil, fault.LeaseLost},
		"failed":                         {jobIn("failed", "succeeded"), nil, fault.LeaseLost},
		"cancelled":                      {jobIn("cancelled", "running"), nil, fault.LeaseLost},
		"published before and restarted": {jobIn("running", "succeeded", published(2)), publish("succeeded"), ""},
	})
}

func TestCancel(t *testing.T) {
	t.Parallel()
	cancel := func(j Job) (Job, error) { return j.Cancel(now) }
	checkMatrix(t, cancel, `
		cc cc cc cs cf cc
		cc cc cc cs cf cc
		cc cc cc cs cf cc
		sc sc sc -- -- sc
		fc fc fc -- -- --
		cc cc cc cs -- cc`)
	runJobTests(t, cancel, map[string]jobTest{
		"running":    {jobIn("running", "succeeded"), ended("cancelled", "cancelled on request", "cancelled", "failed"), ""},
		"queued":     {jobIn("queued", "failed"), ended("cancelled", "cancelled on request", "failed", "failed"), ""},
		"waiting":    {jobIn("waiting", "succeeded", published(1)), ended("cancelled", "cancelled on request", "cancelled", "ready"), ""},
		"superseded": {jobIn("running", "succeeded", newest(3)), ended("cancelled", "cancelled on request", "cancelled", "pending"), ""},
		"cancelled":  {jobIn("cancelled", "cancelled"), nil, ""},
	})
	checkMatrix(t, func(j Job) (Job, error) { return j.CancelDeleted(now), nil }, `
		cc cc cc cs cf cc
		cc cc cc cs cf cc
		cc cc cc cs cf cc
		sc sc sc ss sf sc
		fc fc fc fs ff fc
		cc cc cc cs cf cc`)
	runJobTests(t, func(j Job) (Job, error) { return j.CancelDeleted(now), nil }, map[string]jobTest{
		"deleted": {jobIn("running", "succeeded", deleted), ended("cancelled", "document deleted", "cancelled", "deleting"), ""},
	})
}

// The states of the job and of the document follow from the tasks, whatever they were before.
func TestDeriveStates(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		job      Job
		state    document.JobState
		started  time.Time
		finished time.Time
		document document.DocumentState
	}{
		"new":                     {jobIn("queued", "queued", neverStarted), "queued", time.Time{}, time.Time{}, "pending"},
		"claimed":                 {jobIn("running", "queued", neverStarted), "running", now, time.Time{}, "pending"},
		"the summary is claimed":  {jobIn("queued", "running", neverStarted), "running", now, time.Time{}, "pending"},
		"claimed again":           {jobIn("running", "queued"), "running", now.Add(-time.Hour), time.Time{}, "pending"},
		"ended unclaimed":         {jobIn("cancelled", "cancelled", neverStarted), "cancelled", time.Time{}, now.Add(-time.Second), "failed"},
		"ended now":               {jobIn("failed", "succeeded", neverFinished), "failed", now.Add(-time.Hour), now, "failed"},
		"ended before":            {jobIn("failed", "succeeded"), "failed", now.Add(-time.Hour), now.Add(-time.Second), "failed"},
		"one task is left":        {jobIn("failed", "waiting"), "waiting", now.Add(-time.Hour), time.Time{}, "failed"},
		"published":               {jobIn("succeeded", "failed"), "failed", now.Add(-time.Hour), now.Add(-time.Second), "ready"},
		"failed, one published":   {jobIn("failed", "failed", published(1)), "failed", now.Add(-time.Hour), now.Add(-time.Second), "ready"},
		"failed, and a newer one": {jobIn("failed", "failed", newest(3)), "failed", now.Add(-time.Hour), now.Add(-time.Second), "pending"},
		"failed, and deleted":     {jobIn("failed", "failed", deleted), "failed", now.Add(-time.Hour), now.Add(-time.Second), "deleting"},
		"queued again":            {jobIn("queued", "failed", func(j *Job) { j.Document.State = "failed" }), "running", now.Add(-time.Hour), time.Time{}, "pending"},
	} {
		got := test.job
		if got.State != test.state || !got.StartedAt.Equal(test.started) || !got.FinishedAt.Equal(test.finished) || got.Document.State != test.document {
			t.Errorf("%s: got %s, started %v, finished %v, document %s", name, got.State, got.StartedAt, got.FinishedAt, got.Document.State)
		}
		if diff := cmp.Diff(got, got.deriveStates(later)); diff != "" {
			t.Errorf("%s: derived again (-first +second):\n%s", name, diff)
		}
	}
}

func neverFinished(j *Job) { j.FinishedAt = time.Time{} }

func TestDiffJob(t *testing.T) {
	t.Parallel()
	was := jobIn("running", "queued", published(1))
	for name, test := range map[string]struct {
		is   func(*Job)
		want JobChange
	}{
		"nothing":            {func(*Job) {}, JobChange{}},
		"started":            {func(j *Job) { j.StartedAt = now }, JobChange{Job: true}},
		"finished":           {func(j *Job) { j.FinishedAt = now }, JobChange{Job: true}},
		"state":              {func(j *Job) { j.State = document.JobWaiting }, JobChange{Job: true}},
		"ended":              {func(j *Job) { j.State = document.JobFailed }, JobChange{Job: true, Ended: true}},
		"state of document":  {func(j *Job) { j.Document.State = document.DocumentFailed }, JobChange{Document: true}},
		"published":          {func(j *Job) { j.Document.Published = 2 }, JobChange{Document: true, ObsoleteVersion: 1}},
		"knowledge":          {func(j *Job) { j.Knowledge.Error = "why" }, JobChange{Tasks: []TaskChange{{Task: knowledgeError(was)}}}},
		"summary, requested": {func(j *Job) { j.Summary.SummaryRequested = true }, JobChange{Tasks: []TaskChange{{Task: summaryRequested(was)}}}},
	} {
		is := was
		test.is(&is)
		if diff := cmp.Diff(test.want, DiffJob(was, is)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	restarted, _ := jobIn("failed", "succeeded").Retry(now)
	if got := DiffJob(jobIn("failed", "succeeded"), restarted).Tasks; len(got) != 1 || got[0].Kind != task.KindKnowledge || got[0].Rounds != 1 || !got[0].Dispatched {
		t.Errorf("restarted: got %+v", got)
	}
	if got := DiffJob(jobIn("failed", "failed"), jobIn("failed", "failed", published(1), neverFinished)); got.Ended {
		t.Errorf("a job that had ended: got %+v", got)
	}
	if got := DiffJob(jobIn("running", "failed"), jobIn("succeeded", "failed")); got.ObsoleteVersion != 0 {
		t.Errorf("the first published version: got %+v", got)
	}
}

func knowledgeError(j Job) Task {
	j.Knowledge.Error = "why"
	return j.Knowledge
}

func summaryRequested(j Job) Task {
	j.Summary.SummaryRequested = true
	return j.Summary
}
