package lifecycle

import (
	"time"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Pause ends the lease of the reindex. New versions are no longer written to the space that it builds,
// unless that space is active. It returns fault.Conflict if the reindex has ended.
func (r Reindex) Pause() (Reindex, error) {
	switch {
	case r.State.Ended():
		return r, r.endedError("there is nothing left to pause")
	case r.State == document.JobPaused:
		return r, nil
	}
	r.Task = r.Task.end(document.JobPaused, "")
	r.DispatchedAt = time.Time{}
	if id := r.Builds(); id != r.Collection.Active {
		s, _ := r.Collection.space(id)
		s.Written = false
		r.Collection = r.Collection.withSpace(s)
	}
	return r, nil
}

// Resume restarts a paused or failed reindex at its checkpoint. If another space has become active
// since, the reindex builds its space from that one. If its own space is no longer retained, it
// begins with a new one. A failed reindex also retries what failed: jobs that did not succeed and
// documents that were left out. A reindex in another unended state stays as it is. Resume returns
// fault.Conflict if the reindex has succeeded or is cancelled, if another reindex of the collection
// is active, or if a revert can no longer be completed.
func (r Reindex) Resume(now time.Time) (Reindex, error) {
	was, failed := r, r.State == document.JobFailed
	switch r.State {
	case document.JobSucceeded, document.JobCancelled:
		return r, r.endedError("begin another one")
	case document.JobPaused, document.JobFailed:
	default:
		return r, nil
	}
	if err := r.Collection.checkNoOtherReindex(r.ID); err != nil {
		return r, err
	}
	if r.Stage == document.StageReverting {
		return r.resumeReverting(now)
	}
	r.From, r.Stage = r.Collection.Active, document.StageDocuments
	active, _ := r.Collection.space(r.Collection.Active)
	space, _ := r.Collection.space(r.To)
	switch {
	case r.Change == document.ChangeNothing:
		r.To = r.Collection.Active
		if failed {
			r = r.resetProgress()
		}
	case active.Model == r.Wanted.Model && active.Chunking == r.Wanted.Chunking:
		r.To = r.Collection.Active // another reindex has built the space
	case space.ID == r.To && space.IsRetained(now):
		space.RetryLeftOut = failed
		r.Collection = r.Collection.withSpace(space).retain(r.To)
	default:
		next, err := r.findOrAddTarget(now)
		if err != nil {
			return was, err
		}
		r = next.resetProgress()
	}
	return r.restartAfter(failed), nil
}

// resumeReverting is Resume for a revert.
func (r Reindex) resumeReverting(now time.Time) (Reindex, error) {
	space, exists := r.Collection.space(r.From)
	switch {
	case r.Collection.Active != r.To:
		return r, fault.New(fault.Conflict, "reindex %s cannot continue its revert: the space that it built is no longer active", r.ID)
	case !exists || !space.IsRetained(now):
		return r, fault.New(fault.Conflict, "reindex %s cannot continue its revert: the previous space is no longer kept", r.ID)
	}
	failed := r.State == document.JobFailed
	space.RetryLeftOut = failed
	r.Collection = r.Collection.withSpace(space).retain(r.From)
	return r.restartAfter(failed), nil
}

// restartAfter restarts the reindex. After a failure, documents that were left out are tried again:
// they no longer count as done, and the list of them is empty.
func (r Reindex) restartAfter(failed bool) Reindex {
	if failed {
		r.Progress.DocumentsDone -= r.Progress.LeftOutCount
		r.Progress.LeftOut, r.Progress.LeftOutCount = nil, 0
	}
	return r.restart()
}

// Cancel ends the reindex as cancelled. The space that it was building is kept for the retention time.
// Cancelling a revert ends the reindex as succeeded, which it was before the revert. Cancel returns
// fault.Conflict if the reindex has succeeded or failed.
func (r Reindex) Cancel(retention time.Duration, now time.Time) (Reindex, error) {
	switch {
	case r.State == document.JobCancelled:
		return r, nil
	case r.State.Ended():
		return r, r.endedError("there is nothing left to cancel")
	}
	r = r.retireTarget(retention, now)
	if r.Stage != document.StageReverting {
		r.Task = r.Task.end(document.JobCancelled, ReasonOnRequest)
		r.FinishedAt = now
		return r, nil
	}
	r.Progress = document.ReindexProgress{} // it counted the work of the revert
	return r.succeed(document.StageDone, now), nil
}

// endedError is the failure of an event that an ended reindex does not allow, with what to do
// instead.
func (r Reindex) endedError(remedy string) error {
	ended := string(r.State)
	if r.State == document.JobCancelled {
		ended = "been cancelled"
	}
	return fault.New(fault.Conflict, "reindex %s has %s: %s", r.ID, ended, remedy)
}
