package lifecycle

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/rebuild"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Reindex is a row of reindexes with its collection, both under the lock of the collection. A store
// saves all fields of the row, and what [DiffSpaces] returns for the collection.
type Reindex struct {
	Task
	ID         uuid.UUID
	Change     document.ReindexChange
	Force      bool
	Wanted     vector.Space // model and chunking of the space that the reindex builds
	Stage      document.ReindexStage
	From       int64     // the space that was active when the reindex began or was resumed
	To         int64     // the space that the reindex builds
	Checkpoint uuid.UUID // the last document that is done
	FailedJobs int       // number of its jobs that failed
	Progress   document.ReindexProgress
	StartedAt  time.Time
	FinishedAt time.Time
	Collection Collection
}

// Begin returns a new reindex of the collection, queued and not dispatched. If the reindex changes the
// space, it builds a retained space with the requested model and chunking, or a new one. It returns
// fault.Conflict if another reindex of the collection is active, and fault.BadRequest if vectors of
// the requested model cannot be stored.
func (c Collection) Begin(id uuid.UUID, request document.ReindexRequest, now time.Time) (Reindex, error) {
	if err := c.checkNoOtherReindex(uuid.Nil); err != nil {
		return Reindex{}, err
	}
	active, _ := c.space(c.Active)
	wanted, change := rebuild.TargetSpace(request, active.Space)
	r := Reindex{
		Task: Task{Kind: task.KindReindex, State: document.JobQueued},
		ID:   id, Change: change, Force: request.Force, Wanted: wanted, Stage: document.StageDocuments,
		From: c.Active, To: c.Active, Collection: c,
	}
	if change == document.ChangeNothing {
		return r, nil
	}
	return r.findOrAddTarget(now)
}

// Builds returns the id of the space in which the reindex completes documents: the active space if it
// changes nothing, and the previous space during a revert.
func (r Reindex) Builds() int64 {
	switch {
	case r.Change == document.ChangeNothing:
		return r.Collection.Active
	case r.Stage == document.StageReverting:
		return r.From
	default:
		return r.To
	}
}

// CheckChange returns an error, without a kind, if the caller runs a step that the reindex does not
// have. buildsSpace says whether the step is one of reindexes that change the space.
func (r Reindex) CheckChange(buildsSpace bool) error {
	if buildsSpace == (r.Change != document.ChangeNothing) {
		return nil
	}
	return fmt.Errorf("reindex %s changes %s and does not have this step", r.ID, r.Change)
}

// Claim begins the next attempt. It returns fault.NotFound if the reindex has ended or is paused,
// fault.Conflict if another worker holds the lease, and fault.Unavailable before the time of the next
// attempt.
func (r Reindex) Claim(lease uuid.UUID, ttl time.Duration, now time.Time) (next Reindex, err error) {
	if r.State.Ended() || r.State == document.JobPaused {
		return r, fault.New(fault.NotFound, "reindex %s is %s", r.ID, r.State)
	}
	if r.Task, err = r.Task.claim(lease, ttl, now); err == nil && r.StartedAt.IsZero() {
		r.StartedAt = now
	}
	return r, err
}

// CheckLease returns fault.LeaseLost unless the lease of work is the lease of the reindex.
func (r Reindex) CheckLease(work task.Work) error {
	if r.Lease != work.Lease || work.Lease == uuid.Nil {
		return LeaseLost(work.Ref)
	}
	return nil
}

// RecordOutcome ends an attempt that did not succeed. If that ends the reindex, the space that it was
// building is kept for FailedSpaceRetention. It returns fault.LeaseLost if the worker no longer holds
// the lease.
func (r Reindex) RecordOutcome(work task.Work, outcome task.Outcome, now time.Time) (next Reindex, err error) {
	if err := r.CheckLease(work); err != nil {
		return r, err
	}
	if r.Task, err = r.Task.recordOutcome(outcome, now); err == nil && r.State.Ended() {
		r.FinishedAt = now
		r = r.retireTarget(FailedSpaceRetention, now)
	}
	return r, err
}

// ResetAttempts makes the running attempt the first one and sets the number of crashes to 0, because
// the reindex has made progress.
func (r Reindex) ResetAttempts() Reindex {
	r.Attempt, r.Crashes = 1, 0
	return r
}

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
	failed := r.State == document.JobFailed
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
		r.To = r.Collection.Active // another has built it: little is left to do
	case space.ID == r.To && space.IsRetained(now):
		space.RetryLeftOut = failed
		r.Collection = r.Collection.withSpace(space).retain(r.To)
	default:
		next, err := r.findOrAddTarget(now)
		if err != nil {
			return r, err
		}
		r = next.resetProgress()
	}
	return r.restartAfter(failed), nil
}

// resumeReverting goes on with the way back, while there is one.
func (r Reindex) resumeReverting(now time.Time) (Reindex, error) {
	space, there := r.Collection.space(r.From)
	switch {
	case r.Collection.Active != r.To:
		return r, fault.New(fault.Conflict, "reindex %s cannot go on reverting: another space than the one it built is active by now", r.ID)
	case !there || !space.IsRetained(now):
		return r, fault.New(fault.Conflict, "reindex %s cannot go on reverting: the space that it was going back to is gone", r.ID)
	}
	failed := r.State == document.JobFailed
	space.RetryLeftOut = failed
	r.Collection = r.Collection.withSpace(space).retain(r.From)
	return r.restartAfter(failed), nil
}

// restartAfter queues the reindex again. After a failure, documents that were left out
// do not count as done: they are tried again.
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

// CheckRevert returns fault.Conflict unless the collection can be switched back from the space that
// the reindex has built to the previous one.
func (r Reindex) CheckRevert(now time.Time) error {
	refuse := func(why string) error {
		return fault.New(fault.Conflict, "there is nothing to revert to: reindex %s %s", r.ID, why)
	}
	before, exists := r.Collection.space(r.From)
	switch {
	case r.Change == document.ChangeNothing || r.From == r.To:
		return refuse("did not change the space")
	case r.Stage == document.StageReverted:
		return refuse("is already reverted")
	case r.Stage == document.StageReverting:
		return refuse("is already being reverted")
	case r.State != document.JobSucceeded:
		return refuse(fmt.Sprintf("has not succeeded, it is %s", r.State))
	case r.Collection.Active != r.To:
		return refuse("built a space that is no longer active")
	case !exists || !before.IsRetained(now):
		return refuse("replaced a space that is no longer kept: begin a reindex with the model and chunking of that space")
	default:
		return r.Collection.checkNoOtherReindex(r.ID)
	}
}

// StartRevert has new versions written to the previous space again. From then on the store counts
// the versions that are published without being in that space.
func (r Reindex) StartRevert(now time.Time) (Reindex, error) {
	if err := r.CheckRevert(now); err != nil {
		return r, err
	}
	s, _ := r.Collection.space(r.From)
	s.Written = true
	r.Collection = r.Collection.withSpace(s)
	return r, nil
}

// RevertNow makes the previous space active again and ends the revert. The caller has checked that no
// document is missing in that space.
func (r Reindex) RevertNow(retention time.Duration, now time.Time) (Reindex, error) {
	if err := r.CheckRevert(now); err != nil {
		return r, err
	}
	r.Stage = document.StageReverting
	return r.ActivateSpace(r.Progress, retention, now), nil
}

// RevertLater queues the reindex, which completes the previous space and then makes it active again.
func (r Reindex) RevertLater(now time.Time) (Reindex, error) {
	if err := r.CheckRevert(now); err != nil {
		return r, err
	}
	r.Stage = document.StageReverting
	r.Collection = r.Collection.retain(r.From)
	return r.resetProgress().restart(), nil
}

// ActivateSpace makes the space that the reindex builds the active space and ends the reindex as
// succeeded. The space that was active is retired and kept for the retention time. New versions are
// still written to it, so that the reindex can be reverted; after a revert they are not. The caller
// has checked, under its lock, that no published version is missing in the space.
func (r Reindex) ActivateSpace(progress document.ReindexProgress, retention time.Duration, now time.Time) Reindex {
	reverting := r.Stage == document.StageReverting
	if id := r.Builds(); id != r.Collection.Active {
		r.Collection = r.Collection.retire(r.Collection.Active, !reverting, retention, now).retain(id)
		r.Collection.Active = id
	}
	r.Progress = progress
	if reverting {
		return r.succeed(document.StageReverted, now)
	}
	return r.succeed(document.StageDone, now)
}

// RequeueCandidate is where a document stands for a reindex that changes nothing.
type RequeueCandidate struct {
	DocumentID      uuid.UUID
	Newest          int
	Published       int               // 0 for none
	HasSpaceVersion bool              // the published version is said to be whole in the active space
	Complete        bool              // and all of its places and passages are there
	LeftOut         bool              // it cannot stand in the space
	HasActiveJob    bool              // the newest version has an unended job whose knowledge task has not failed
	RequeuedJob     document.JobState // state of the newest version's job if the reindex made it; otherwise empty
}

// ShouldRequeue reports whether the reindex gives a document a next version. A document
// that it has given one already gets another only if that job did not succeed.
func (r Reindex) ShouldRequeue(d RequeueCandidate) bool {
	switch {
	case d.HasActiveJob:
		return false
	case d.RequeuedJob != "":
		return d.RequeuedJob != document.JobSucceeded
	default:
		return r.Force || d.Published != d.Newest || !d.Complete || d.LeftOut
	}
}

// EndRequeue ends a reindex that changes nothing. The caller has checked that all its jobs have ended.
func (r Reindex) EndRequeue(now time.Time) Reindex {
	p := &r.Progress
	p.Documents, p.Bytes = p.DocumentsDone, p.BytesDone
	if r.FailedJobs == 0 {
		return r.succeed(document.StageDone, now)
	}
	r.Task = r.Task.end(document.JobFailed, fmt.Sprintf("%d of %d documents could not be reindexed: see the errors of their jobs", r.FailedJobs, p.DocumentsDone))
	r.FinishedAt = now
	return r
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

// findOrAddTarget sets the space that the reindex builds, see findOrAddSpace.
func (r Reindex) findOrAddTarget(now time.Time) (next Reindex, err error) {
	r.Collection, r.To, err = r.Collection.findOrAddSpace(r.Wanted, now)
	return r, err
}

// retireTarget retires the space that the reindex builds, unless it is the active space.
func (r Reindex) retireTarget(retention time.Duration, now time.Time) Reindex {
	if id := r.Builds(); id != r.Collection.Active {
		r.Collection = r.Collection.retire(id, false, retention, now)
	}
	return r
}

// resetProgress makes the reindex begin with the first document again.
func (r Reindex) resetProgress() Reindex {
	r.Checkpoint, r.FailedJobs, r.Progress = uuid.Nil, 0, document.ReindexProgress{}
	return r
}

func (r Reindex) restart() Reindex {
	r.Task, r.FinishedAt = r.Task.restart(), time.Time{}
	return r
}

func (r Reindex) succeed(stage document.ReindexStage, now time.Time) Reindex {
	r.Task, r.Stage, r.FinishedAt = r.Task.end(document.JobSucceeded, ""), stage, now
	return r
}
