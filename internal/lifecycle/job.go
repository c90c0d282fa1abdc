package lifecycle

import (
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Job is a job with its tasks and its document, all under the lock of the document. The states of
// the job and of the document, and the times of the job, are derived from the tasks.
type Job struct {
	ID         uuid.UUID
	Version    int
	State      document.JobState
	StartedAt  time.Time
	FinishedAt time.Time
	Knowledge  Task
	Summary    Task
	Document   Document
}

// JobChange is what a store has to write when a job goes from one state to the next.
type JobChange struct {
	Tasks           []TaskChange
	Job             bool // write the job's state and times
	Document        bool // write the document's state and published version, and set updated_at
	Ended           bool // the job has ended: write deliveries to webhooks
	ObsoleteVersion int  // add this version to the garbage list; 0 for none
}

// TaskChange is the next state of a task: all columns except its progress. The dispatcher and the
// sweep change the round and the time of dispatch without the document's lock. A store must
// therefore add Rounds to the stored round, and write the time of dispatch only if Dispatched is
// true.
type TaskChange struct {
	Task
	Rounds     int
	Dispatched bool
}

// DiffJob returns what a store has to write to save is over was.
func DiffJob(was, is Job) JobChange {
	c := JobChange{
		Job:      was.State != is.State || was.StartedAt != is.StartedAt || was.FinishedAt != is.FinishedAt,
		Document: was.Document != is.Document,
		Ended:    is.State.Ended() && !was.State.Ended(),
	}
	for _, t := range [][2]Task{{was.Knowledge, is.Knowledge}, {was.Summary, is.Summary}} {
		if t[0] != t[1] {
			c.Tasks = append(c.Tasks, TaskChange{t[1], t[1].Round - t[0].Round, t[1].DispatchedAt != t[0].DispatchedAt})
		}
	}
	if was.Document.Published != is.Document.Published {
		c.ObsoleteVersion = was.Document.Published
	}
	return c
}

// Claim begins the next attempt of a task. The caller must save next even if the claim is refused:
// a task of a superseded version or of a deleted document becomes cancelled, and the claim is
// refused with fault.NotFound. It is also refused with fault.NotFound if the task has ended, with
// fault.Conflict if another worker holds the lease, and with fault.Unavailable before the time of
// the next attempt.
func (j Job) Claim(kind task.Kind, lease uuid.UUID, ttl time.Duration, now time.Time) (next Job, refused error) {
	t := j.task(kind)
	switch reason := j.cancelReason(t); {
	case t.Kind != kind:
		return j, TaskNotFound()
	case t.State.Ended():
		return j, fault.New(fault.NotFound, "the task has ended: %s", t.State)
	case reason != "":
		return j.withTask(t.cancel(reason), now), fault.New(fault.NotFound, "the task was cancelled: %s", reason)
	}
	if t, refused = t.claim(lease, ttl, now); refused != nil {
		return j, refused
	}
	return j.withTask(t, now), nil
}

// cancelReason returns why a claim must cancel the task, or "".
func (j Job) cancelReason(t Task) string {
	switch {
	case j.Document.Deleted:
		return ReasonDocumentDeleted
	case t.State == document.JobQueued && j.Document.Newest > j.Version:
		return supersededBy(j.Document.Newest)
	default:
		return ""
	}
}

// CheckLease returns fault.LeaseLost unless the lease of work is the lease of its task.
func (j Job) CheckLease(work task.Work) error {
	if t := j.task(work.Kind); t.Lease != work.Lease || work.Lease == uuid.Nil {
		return LeaseLost(work.Ref)
	}
	return nil
}

// RecordOutcome ends an attempt that did not succeed. It returns fault.LeaseLost if the worker no
// longer holds the lease.
func (j Job) RecordOutcome(work task.Work, outcome task.Outcome, now time.Time) (Job, error) {
	if err := j.CheckLease(work); err != nil {
		return j, err
	}
	t, err := j.task(work.Kind).recordOutcome(outcome, now)
	if err != nil {
		return j, err
	}
	return j.withTask(t, now), nil
}

// Finish ends the task of work as succeeded. It returns fault.LeaseLost if the worker no longer
// holds the lease.
func (j Job) Finish(work task.Work, now time.Time) (Job, error) {
	if err := j.CheckLease(work); err != nil {
		return j, err
	}
	return j.withTask(j.task(work.Kind).end(document.JobSucceeded, ""), now), nil
}

// Superseded reports whether a newer version is already published.
func (j Job) Superseded() bool { return j.Document.Published > j.Version }

// Publish makes the job's version the published version and ends the knowledge task as succeeded.
// If a newer version is already published, the task is cancelled instead. It returns
// fault.LeaseLost if the worker no longer holds the lease.
func (j Job) Publish(work task.Work, now time.Time) (Job, error) {
	if err := j.CheckLease(work); err != nil {
		return j, err
	}
	if j.Superseded() {
		return j.withTask(j.Knowledge.cancel(supersededBy(j.Document.Published)), now), nil
	}
	j.Document.Published, j.Document.State = j.Version, document.DocumentReady
	return j.withTask(j.Knowledge.end(document.JobSucceeded, ""), now), nil
}

// Cancel cancels the tasks that have not ended, on request. It returns fault.Conflict if the job has
// succeeded or failed.
func (j Job) Cancel(now time.Time) (Job, error) {
	switch j.State {
	case document.JobSucceeded, document.JobFailed:
		return j, fault.New(fault.Conflict, "job %s has %s: there is nothing left to cancel", j.ID, j.State)
	default:
		return j.cancel(ReasonOnRequest, now), nil
	}
}

// CancelDeleted cancels the tasks that have not ended, because the document is deleted.
func (j Job) CancelDeleted(now time.Time) Job { return j.cancel(ReasonDocumentDeleted, now) }

func (j Job) cancel(reason string, now time.Time) Job {
	j.Knowledge, j.Summary = j.Knowledge.cancel(reason), j.Summary.cancel(reason)
	return j.deriveStates(now)
}

func (j Job) task(kind task.Kind) Task {
	if kind == task.KindKnowledge {
		return j.Knowledge
	}
	return j.Summary
}

// withTask returns the job with t in the place of its task of that kind, and derives the states
// again.
func (j Job) withTask(t Task, now time.Time) Job {
	if t.Kind == task.KindKnowledge {
		j.Knowledge = t
	} else {
		j.Summary = t
	}
	return j.deriveStates(now)
}

// deriveStates sets the job's state and times, which follow from its tasks. It also sets the state of
// a document that has no published version: such a document is failed if the knowledge task of its
// newest version has ended, and pending otherwise.
func (j Job) deriveStates(now time.Time) Job {
	j.State = task.CombineStates(j.Knowledge.State, j.Summary.State)
	if j.StartedAt.IsZero() && (j.Knowledge.State == document.JobRunning || j.Summary.State == document.JobRunning) {
		j.StartedAt = now
	}
	switch {
	case !j.State.Ended():
		j.FinishedAt = time.Time{}
	case j.FinishedAt.IsZero():
		j.FinishedAt = now
	}
	if d := &j.Document; d.Published == 0 && d.Newest == j.Version && !d.Deleted {
		d.State = document.DocumentPending
		if j.Knowledge.State.Ended() { // a success would have set Published
			d.State = document.DocumentFailed
		}
	}
	return j
}
