package lifecycle

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Task is a row of tasks, or the part of a row of reindexes that makes it a task.
type Task struct {
	Kind             task.Kind
	State            document.JobState
	Attempt          int
	Crashes          int // attempts that lost their worker
	Round            int // see document.Dispatch
	Error            string
	Lease            uuid.UUID
	LeaseUntil       time.Time
	NextAttemptAt    time.Time
	DispatchedAt     time.Time
	SummaryRequested bool // of a summary: somebody has asked for it
}

// claim begins the next attempt under a lease. A task that is running under another
// lease, which ran out, has lost its worker. The caller's own lease means that the
// claim was committed and only its answer was lost.
func (t Task) claim(lease uuid.UUID, ttl time.Duration, now time.Time) (Task, error) {
	switch {
	case t.Lease == lease:
		return t, nil
	case t.State == document.JobRunning && t.LeaseUntil.After(now):
		return t, fault.New(fault.Conflict, "another worker holds the lease of the task")
	case t.State == document.JobWaiting && t.NextAttemptAt.After(now):
		return t, fault.New(fault.Unavailable, "the task is to be tried again later").WithRetryAfter(t.NextAttemptAt.Sub(now))
	case t.State == document.JobRunning:
		t.Crashes++
	}
	t.State, t.Error = document.JobRunning, ""
	t.Attempt++
	t.Round++
	t.Lease, t.LeaseUntil, t.NextAttemptAt = lease, now.Add(ttl), time.Time{}
	if t.DispatchedAt.IsZero() { // by an old entry of the queue
		t.DispatchedAt = now
	}
	return t, nil
}

// recordOutcome writes what became of an attempt that is not done.
func (t Task) recordOutcome(outcome task.Outcome, now time.Time) (Task, error) {
	switch outcome.Verdict {
	case task.VerdictFail:
		return t.end(document.JobFailed, outcome.Error), nil
	case task.VerdictCancel:
		return t.end(document.JobCancelled, outcome.Error), nil
	case task.VerdictWait:
		t.Attempt-- // it is given back
	case task.VerdictRetry:
	default:
		return t, fmt.Errorf("unknown verdict %q", outcome.Verdict)
	}
	t = t.end(document.JobWaiting, outcome.Error)
	t.NextAttemptAt = now.Add(outcome.Delay)
	return t, nil
}

// end gives the task a state in which nobody works at it.
func (t Task) end(state document.JobState, reason string) Task {
	t.State, t.Error = state, storable(reason)
	t.Lease, t.LeaseUntil, t.NextAttemptAt = uuid.Nil, time.Time{}, time.Time{}
	return t
}

// cancel ends a task that has not ended.
func (t Task) cancel(reason string) Task {
	if t.State.Ended() {
		return t
	}
	return t.end(document.JobCancelled, reason)
}

// requeue queues a task, not dispatched, with the attempts that it has used up. It is
// a new round: an entry of the one before may still be in the queue.
func (t Task) requeue() Task {
	t = t.end(document.JobQueued, "")
	t.Round++
	t.DispatchedAt = time.Time{}
	return t
}

// restart queues a task as if it had just been accepted. What runs loses its lease.
func (t Task) restart() Task {
	t = t.requeue()
	t.Attempt, t.Crashes = 0, 0
	return t
}
