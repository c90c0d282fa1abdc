package lifecycle

import (
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Job is a job with its tasks and its document, all under the document's lock. Its
// state, its times and the document's state follow from the tasks.
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

// JobChange is what a store writes to make one state of a job the next.
type JobChange struct {
	Tasks           []TaskChange
	Job             bool // its state and times
	Document        bool // its state and published version, and updated_at
	Ended           bool // the job has ended: deliveries are written
	ObsoleteVersion int  // version that is listed as garbage; 0 for none
}

// TaskChange is a task in its next state: a whole row, but for its progress. Tasks are
// dispatched, and get a new round for it, under no lock of their document: so rounds
// are added, and the time of dispatch is written only where it is to be another.
type TaskChange struct {
	Task
	Rounds     int
	Dispatched bool
}

// DiffJob returns what differs from was to is.
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

// Claim begins the next attempt of a task. A refusal does not keep the next state
// from being saved: a task that nobody wants any more is cancelled and refused.
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

// cancelReason says why nobody wants the task any more, if so.
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

// CheckLease returns fault.LeaseLost unless the work holds the lease of its task.
func (j Job) CheckLease(work task.Work) error {
	if t := j.task(work.Kind); t.Lease != work.Lease || work.Lease == uuid.Nil {
		return LeaseLost(work.Ref)
	}
	return nil
}

// RecordOutcome writes what became of an attempt that is not done.
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

// Finish ends the work's task as succeeded.
func (j Job) Finish(work task.Work, now time.Time) (Job, error) {
	if err := j.CheckLease(work); err != nil {
		return j, err
	}
	return j.withTask(j.task(work.Kind).end(document.JobSucceeded, ""), now), nil
}

// Superseded reports whether readers see a newer version already.
func (j Job) Superseded() bool { return j.Document.Published > j.Version }

// Publish makes the version the published one and ends the knowledge task. When a
// newer version is published already, the task is cancelled instead.
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

// Cancel ends what has not ended, on request.
func (j Job) Cancel(now time.Time) (Job, error) {
	switch j.State {
	case document.JobSucceeded, document.JobFailed:
		return j, fault.New(fault.Conflict, "job %s has %s: there is nothing left to cancel", j.ID, j.State)
	default:
		return j.cancel(ReasonOnRequest, now), nil
	}
}

// CancelDeleted ends what has not ended, because the document is deleted.
func (j Job) CancelDeleted(now time.Time) Job { return j.cancel(ReasonDocumentDeleted, now) }

func (j Job) cancel(reason string, now time.Time) Job {
	j.Knowledge, j.Summary = j.Knowledge.cancel(reason), j.Summary.cancel(reason)
	return j.deriveStates(now)
}

// Retry gives the failed and cancelled tasks of an ended job a fresh start. Of a job
// that has not ended, tasks that wait are queued with the attempts that they have used up.
func (j Job) Retry(now time.Time) (Job, error) {
	switch {
	case j.Document.Deleted:
		return j, fault.New(fault.NotFound, "the document of job %s is deleted", j.ID)
	case j.State == document.JobSucceeded:
		return j, fault.New(fault.Conflict, "job %s has succeeded: there is nothing to retry", j.ID)
	case j.Version != j.Document.Newest:
		return j, fault.New(fault.Conflict, "job %s made version %d of document %s, which has version %d by now: retry the job of that one",
			j.ID, j.Version, j.Document.ID, j.Document.Newest)
	case j.State.Ended():
		return j.Restart(now), nil
	}
	for _, t := range []*Task{&j.Knowledge, &j.Summary} {
		if t.State == document.JobWaiting {
			*t = t.requeue()
		}
	}
	return j.deriveStates(now), nil
}

// Restart gives whatever has begun and not succeeded a fresh start: what it has read
// is replaced.
func (j Job) Restart(now time.Time) Job {
	for _, t := range []*Task{&j.Knowledge, &j.Summary} {
		if t.State != document.JobQueued && t.State != document.JobSucceeded {
			*t = t.restart()
		}
	}
	return j.deriveStates(now)
}

// RequestSummary queues the summary task, now that somebody has asked for it, unless it
// comes by itself or was asked for before. Made says that the version has a summary.
func (j Job) RequestSummary(mode document.SummaryMode, made bool, now time.Time) (Job, error) {
	switch {
	case j.Document.Deleted:
		return j, DocumentNotFound(j.Document.ID)
	case mode == document.SummariesOff:
		return j, fault.New(fault.Conflict, "summaries of this collection are off: set them to on_demand or model first")
	case made, !j.Summary.State.Ended() && (j.Summary.SummaryRequested || mode != document.SummariesOnDemand):
		return j, nil
	}
	j.Summary = j.Summary.restart()
	j.Summary.SummaryRequested = true
	return j.deriveStates(now), nil
}

func (j Job) task(kind task.Kind) Task {
	if kind == task.KindKnowledge {
		return j.Knowledge
	}
	return j.Summary
}

// withTask returns the job with a task in its new state, and what follows from it.
func (j Job) withTask(t Task, now time.Time) Job {
	if t.Kind == task.KindKnowledge {
		j.Knowledge = t
	} else {
		j.Summary = t
	}
	return j.deriveStates(now)
}

// deriveStates derives the job's state and times, and the state of a document of which no
// version is published: it is failed while its newest version came to nothing.
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
		if j.Knowledge.State.Ended() { // with Published 0 it has not succeeded
			d.State = document.DocumentFailed
		}
	}
	return j
}
