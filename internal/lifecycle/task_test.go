package lifecycle

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// taskTest is one event on a task. want changes the task into the state that must follow; nil means
// that the task stays as it is.
type taskTest struct {
	was  Task
	want func(*Task)
	kind fault.Kind
}

func runTaskTests(t *testing.T, event func(Task) (Task, error), tests map[string]taskTest) {
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

// knowledge returns a knowledge task in a state.
func knowledge(state document.JobState, change ...func(*Task)) Task {
	t := taskIn(task.KindKnowledge, state)
	for _, c := range change {
		c(&t)
	}
	return t
}

// A claim refuses a state that it cannot begin from before it asks the task: ended states are
// refused by the job and by the reindex.
func TestClaimTask(t *testing.T) {
	t.Parallel()
	running := func(attempt, crashes int) func(*Task) {
		return func(t *Task) {
			t.State, t.Attempt, t.Crashes, t.Round, t.Error = document.JobRunning, attempt, crashes, 6, ""
			t.Lease, t.LeaseUntil, t.NextAttemptAt = other, now.Add(time.Hour), time.Time{}
		}
	}
	runTaskTests(t, func(t Task) (Task, error) { return t.claim(other, time.Hour, now) }, map[string]taskTest{
		"queued":                              {knowledge("queued"), running(1, 0), ""},
		"queued, tried before":                {knowledge("queued", func(t *Task) { t.Attempt, t.Crashes = 3, 2 }), running(4, 2), ""},
		"waiting, its time has come":          {knowledge("waiting", func(t *Task) { t.NextAttemptAt = now }), running(4, 2), ""},
		"waiting":                             {knowledge("waiting"), nil, fault.Unavailable},
		"running, the lease has expired":      {knowledge("running", func(t *Task) { t.LeaseUntil = now }), running(4, 3), ""},
		"running":                             {knowledge("running"), nil, fault.Conflict},
		"running under the lease of the call": {knowledge("running", func(t *Task) { t.Lease = other }), nil, ""},
		"expired under the lease of the call": {knowledge("running", func(t *Task) { t.Lease, t.LeaseUntil = other, now }), nil, ""},
		"not dispatched": {knowledge("queued", func(t *Task) { t.DispatchedAt = time.Time{} }), func(t *Task) {
			running(1, 0)(t)
			t.DispatchedAt = now
		}, ""},
	})
}

func TestRecordOutcomeOfTask(t *testing.T) {
	t.Parallel()
	ended := func(state document.JobState, attempt int) func(*Task) {
		return func(t *Task) {
			t.State, t.Attempt, t.Error, t.Lease, t.LeaseUntil = state, attempt, "a\uFFFDb", uuid.Nil, time.Time{}
			if state == document.JobWaiting {
				t.NextAttemptAt = now.Add(time.Second)
			}
		}
	}
	for verdict, test := range map[task.Verdict]taskTest{
		task.VerdictFail:   {knowledge("running"), ended("failed", 3), ""},
		task.VerdictCancel: {knowledge("running"), ended("cancelled", 3), ""},
		task.VerdictRetry:  {knowledge("running"), ended("waiting", 3), ""},
		task.VerdictWait:   {knowledge("running"), ended("waiting", 2), ""},
		"another":          {knowledge("running"), nil, fault.Internal},
	} {
		outcome := task.Outcome{Verdict: verdict, Error: "a\x00b", Delay: time.Second}
		runTaskTests(t, func(t Task) (Task, error) { return t.recordOutcome(outcome, now) }, map[string]taskTest{string(verdict): test})
	}
}

func TestCancelTask(t *testing.T) {
	t.Parallel()
	cancelled := func(t *Task) {
		t.State, t.Error = document.JobCancelled, "why"
		t.Lease, t.LeaseUntil, t.NextAttemptAt = uuid.Nil, time.Time{}, time.Time{}
	}
	runTaskTests(t, func(t Task) (Task, error) { return t.cancel("why"), nil }, map[string]taskTest{
		"queued":    {knowledge("queued"), cancelled, ""},
		"running":   {knowledge("running"), cancelled, ""},
		"waiting":   {knowledge("waiting"), cancelled, ""},
		"succeeded": {knowledge("succeeded"), nil, ""},
		"failed":    {knowledge("failed"), nil, ""},
		"cancelled": {knowledge("cancelled"), nil, ""},
	})
}

// requeued is what requeue makes of every task, and restarted what restart makes of it.
func requeued(t *Task) {
	t.State, t.Round, t.Error = document.JobQueued, 6, ""
	t.Lease, t.LeaseUntil, t.NextAttemptAt, t.DispatchedAt = uuid.Nil, time.Time{}, time.Time{}, time.Time{}
}

func restarted(t *Task) {
	requeued(t)
	t.Attempt, t.Crashes = 0, 0
}

func TestRequeueAndRestartTask(t *testing.T) {
	t.Parallel()
	for _, state := range document.JobStates {
		runTaskTests(t, func(t Task) (Task, error) { return t.requeue(), nil }, map[string]taskTest{"requeue " + string(state): {knowledge(state), requeued, ""}})
		runTaskTests(t, func(t Task) (Task, error) { return t.restart(), nil }, map[string]taskTest{"restart " + string(state): {knowledge(state), restarted, ""}})
	}
}
