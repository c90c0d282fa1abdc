package lifecycle

import (
	"time"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Retry restarts the failed and cancelled tasks of an ended job. If the job has not ended, it queues
// its waiting tasks, which keep their number of attempts. It returns fault.NotFound if the document
// is deleted, and fault.Conflict if the job has succeeded or is not the job of the newest version.
func (j Job) Retry(now time.Time) (Job, error) {
	switch {
	case j.Document.Deleted:
		return j, fault.New(fault.NotFound, "the document of job %s is deleted", j.ID)
	case j.State == document.JobSucceeded:
		return j, fault.New(fault.Conflict, "job %s has succeeded: there is nothing to retry", j.ID)
	case j.Version != j.Document.Newest:
		return j, fault.New(fault.Conflict, "job %s made version %d of document %s, whose newest version is %d: retry the job of that version",
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

// Restart restarts the tasks that have begun and not succeeded, because the original that they read
// has been replaced.
func (j Job) Restart(now time.Time) Job {
	for _, t := range []*Task{&j.Knowledge, &j.Summary} {
		if t.State != document.JobQueued && t.State != document.JobSucceeded {
			*t = t.restart()
		}
	}
	return j.deriveStates(now)
}

// RequestSummary restarts the summary task because a client has requested the summary. The job stays
// as it is if the version has a summary, or if the task will make one without this request. It
// returns fault.NotFound if the document is deleted, and fault.Conflict if mode is SummariesOff.
func (j Job) RequestSummary(mode document.SummaryMode, hasSummary bool, now time.Time) (Job, error) {
	switch {
	case j.Document.Deleted:
		return j, DocumentNotFound(j.Document.ID)
	case mode == document.SummariesOff:
		return j, fault.New(fault.Conflict, "summaries of this collection are off: set them to on_demand or model first")
	case hasSummary, !j.Summary.State.Ended() && (j.Summary.SummaryRequested || mode != document.SummariesOnDemand):
		return j, nil
	}
	j.Summary = j.Summary.restart()
	j.Summary.SummaryRequested = true
	return j.deriveStates(now), nil
}
