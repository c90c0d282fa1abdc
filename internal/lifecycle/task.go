package lifecycle

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Task is a row of the table tasks, or the columns that a reindex shares with it.
type Task struct {
	Kind             task.Kind
	State            document.JobState
	Attempt          int
	Crashes          int // number of attempts that lost their worker
	Round            int // see task.Dispatch
	Error            string
	Lease            uuid.UUID // zero unless the task is running
	LeaseUntil       time.Time
	NextAttemptAt    time.Time // zero unless the task is waiting
	DispatchedAt     time.Time // zero while the dispatcher has to enqueue the task
	SummaryRequested bool      // for a summary task: a client has requested the summary
}

// claim begins the next attempt, under the given lease. A running task whose lease has expired
// has lost its worker, which counts as a crash. A task that already has the given lease was
// claimed by a transaction whose response was lost: it stays as it is.
func (t Task) claim(lease uuid.UUID, ttl time.Duration, now time.Time) (Task, error) {
	switch {
	case t.Lease == lease:
		return t, nil
	case t.State == document.JobRunning && t.LeaseUntil.After(now):
		return t, fault.New(fault.Conflict, "another worker holds the lease of the task")
	case t.State == document.JobWaiting && t.NextAttemptAt.After(now):
		return t, fault.New(fault.Unavailable, "the task waits for its next attempt").WithRetryAfter(t.NextAttemptAt.Sub(now))
	case t.State == document.JobRunning:
		t.Crashes++
	}
	t.State, t.Error = document.JobRunning, ""
	t.Attempt++
	t.Round++
	t.Lease, t.LeaseUntil, t.NextAttemptAt = lease, now.Add(ttl), time.Time{}
	if t.DispatchedAt.IsZero() { // an old queue entry led to this claim
		t.DispatchedAt = now
	}
	return t, nil
}

// recordOutcome ends an attempt that did not succeed.
func (t Task) recordOutcome(outcome task.Outcome, now time.Time) (Task, error) {
	switch outcome.Verdict {
	case task.VerdictFail:
		return t.end(document.JobFailed, outcome.Error), nil
	case task.VerdictCancel:
		return t.end(document.JobCancelled, outcome.Error), nil
	case task.VerdictWait:
		t.Attempt-- // this attempt does not count
	case task.VerdictRetry:
	default:
		return t, fmt.Errorf("unknown verdict %q", outcome.Verdict)
	}
	t = t.end(document.JobWaiting, outcome.Error)
	t.NextAttemptAt = now.Add(outcome.Delay)
	return t, nil
}

// end ends the task's lease, if there is one, and sets a state in which no worker runs it.
func (t Task) end(state document.JobState, reason string) Task {
	t.State, t.Error = state, Storable(reason)
	t.Lease, t.LeaseUntil, t.NextAttemptAt = uuid.Nil, time.Time{}, time.Time{}
	return t
}

// cancel ends the task as cancelled, unless it has ended.
func (t Task) cancel(reason string) Task {
	if t.State.Ended() {
		return t
	}
	return t.end(document.JobCancelled, reason)
}

// requeue queues the task for dispatch. It keeps the number of attempts. It begins a new round,
// because an entry of the current round may still be in the queue.
func (t Task) requeue() Task {
	t = t.end(document.JobQueued, "")
	t.Round++
	t.DispatchedAt = time.Time{}
	return t
}

// restart queues the task as if it were new. A worker that runs it loses its lease.
func (t Task) restart() Task {
	t = t.requeue()
	t.Attempt, t.Crashes = 0, 0
	return t
}
