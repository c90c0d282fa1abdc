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

// Reindex is a row of reindexes with its collection, both under the collection's
// lock. A store saves all fields of the row, and the collection's spaces by
// [ChangeSpaces].
type Reindex struct {
	Task
	ID         uuid.UUID
	Change     document.ReindexChange
	Force      bool
	Wanted     vector.Space // what the space is like that it builds
	Stage      document.ReindexStage
	From       int64     // active when it began or was resumed
	To         int64     // the space that it builds
	Checkpoint uuid.UUID // the last document that is done
	FailedJobs int       // jobs of it that failed
	Progress   document.ReindexProgress
	StartedAt  time.Time
	FinishedAt time.Time
	Collection Collection
}

// Begin returns a reindex of the collection, queued and not dispatched. The space
// that it builds is taken up or made.
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

// Builds returns the space that the reindex completes: the active one when it
// changes nothing.
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

// CheckChange fails when a step of reindexes that build a space is taken for one that
// builds none, or the other way round: a defect.
func (r Reindex) CheckChange(builds bool) error {
	if builds == (r.Change != document.ChangeNothing) {
		return nil
	}
	return fmt.Errorf("reindex %s changes %s: this is no step of it", r.ID, r.Change)
}

// Claim begins the next attempt.
func (r Reindex) Claim(lease uuid.UUID, ttl time.Duration, now time.Time) (next Reindex, err error) {
	if r.State.Ended() || r.State == document.JobPaused {
		return r, fault.New(fault.NotFound, "reindex %s is %s", r.ID, r.State)
	}
	if r.Task, err = r.Task.claim(lease, ttl, now); err == nil && r.StartedAt.IsZero() {
		r.StartedAt = now
	}
	return r, err
}

// CheckLease returns fault.LeaseLost unless the work holds the lease.
func (r Reindex) CheckLease(work task.Work) error {
	if r.Lease != work.Lease || work.Lease == uuid.Nil {
		return LeaseLost(work.Ref)
	}
	return nil
}

// RecordOutcome writes what became of an attempt that is not done. The space of a reindex that
// is given up is kept for KeepFailed.
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

// ResetAttempts forgets attempts and crashes before this attempt: it has got somewhere.
func (r Reindex) ResetAttempts() Reindex {
	r.Attempt, r.Crashes = 1, 0
	return r
}

// Pause ends the lease and has nothing more written to the space.
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

// Resume gives a paused or failed reindex a fresh start, where it stopped. Meanwhile
// another space may have become the active one, and its own been dropped: it builds
// from what is active now, and makes its space anew. One that failed tries again what
// failed: of jobs, those that did not succeed, of documents, those that were left out.
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
		if failed {
			space.RetryLeftOut = true
			r.Progress.DocumentsDone -= r.Progress.LeftOutCount
			r.Progress.LeftOut, r.Progress.LeftOutCount = nil, 0
		}
		r.Collection = r.Collection.withSpace(space).retain(r.To)
	default:
		next, err := r.findOrAddTarget(now)
		if err != nil {
			return r, err
		}
		r = next.resetProgress()
	}
	return r.restart(), nil
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
	r.Collection = r.Collection.retain(r.From)
	return r.restart(), nil
}

// Cancel ends the reindex and leaves the space that it was building. One that was
// reverting is done, as before.
func (r Reindex) Cancel(keep time.Duration, now time.Time) (Reindex, error) {
	switch {
	case r.State == document.JobCancelled:
		return r, nil
	case r.State.Ended():
		return r, r.endedError("there is nothing left to cancel")
	}
	r = r.retireTarget(keep, now)
	if r.Stage != document.StageReverting {
		r.Task = r.Task.end(document.JobCancelled, ReasonOnRequest)
		r.FinishedAt = now
		return r, nil
	}
	r.Progress = document.ReindexProgress{} // it was that of the way back, by the model from before
	return r.succeed(document.StageDone, now), nil
}

// CheckRevert returns fault.Conflict unless one can go back from what the reindex has
// built to what was active before.
func (r Reindex) CheckRevert(now time.Time) error {
	refuse := func(why string) error {
		return fault.New(fault.Conflict, "there is nothing to revert to: reindex %s %s", r.ID, why)
	}
	before, there := r.Collection.space(r.From)
	switch {
	case r.Change == document.ChangeNothing || r.From == r.To:
		return refuse("has not changed the space")
	case r.Stage == document.StageReverted:
		return refuse("was reverted already")
	case r.Stage == document.StageReverting:
		return refuse("is being reverted already")
	case r.State != document.JobSucceeded:
		return refuse(fmt.Sprintf("has not succeeded, it is %s", r.State))
	case r.Collection.Active != r.To:
		return refuse("built a space that is no longer the active one")
	case !there || !before.IsRetained(now):
		return refuse("left a space that is no longer kept: begin a reindex with the model and chunking of that one")
	default:
		return r.Collection.checkNoOtherReindex(r.ID)
	}
}

// StartRevert has the space from before be written, so that whatever is published
// without it is counted from now on.
func (r Reindex) StartRevert(now time.Time) (Reindex, error) {
	if err := r.CheckRevert(now); err != nil {
		return r, err
	}
	s, _ := r.Collection.space(r.From)
	s.Written = true
	r.Collection = r.Collection.withSpace(s)
	return r, nil
}

// RevertNow switches back to the space from before, which lacks nothing.
func (r Reindex) RevertNow(keep time.Duration, now time.Time) (Reindex, error) {
	if err := r.CheckRevert(now); err != nil {
		return r, err
	}
	r.Stage = document.StageReverting
	return r.ActivateSpace(r.Progress, keep, now), nil
}

// RevertLater queues the reindex to complete the space from before, and then to
// switch back to it.
func (r Reindex) RevertLater(now time.Time) (Reindex, error) {
	if err := r.CheckRevert(now); err != nil {
		return r, err
	}
	r.Stage = document.StageReverting
	r.Collection = r.Collection.retain(r.From)
	return r.resetProgress().restart(), nil
}

// ActivateSpace makes the space that the reindex builds the active one and ends the reindex.
// The space that was active is kept, and goes on being written so that one can go
// back to it, unless this was the way back. The store has seen to it, under its lock,
// that no published document is missing in the space.
func (r Reindex) ActivateSpace(progress document.ReindexProgress, keep time.Duration, now time.Time) Reindex {
	reverting := r.Stage == document.StageReverting
	if id := r.Builds(); id != r.Collection.Active {
		r.Collection = r.Collection.retire(r.Collection.Active, !reverting, keep, now).retain(id)
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
	HasActiveJob    bool              // the newest version has a job that may come to something
	RequeuedJob     document.JobState // of the newest version's job, if the reindex has made it; else empty
}

// ShouldRequeue reports whether the reindex gives a document a next version. What it has
// redone already it redoes only if that has come to nothing.
func (r Reindex) ShouldRequeue(d RequeueCandidate) bool {
	switch {
	case d.HasActiveJob:
		return false
	case d.RequeuedJob != "":
		return d.RequeuedJob.Ended() && d.RequeuedJob != document.JobSucceeded
	default:
		return r.Force || d.Published != d.Newest || !d.Complete || d.LeftOut
	}
}

// EndRequeue ends a reindex that changes nothing once all its jobs have ended.
func (r Reindex) EndRequeue(now time.Time) Reindex {
	p := &r.Progress
	p.Documents, p.Bytes = p.DocumentsDone, p.BytesDone
	if r.FailedJobs == 0 {
		return r.succeed(document.StageDone, now)
	}
	r.Task = r.Task.end(document.JobFailed, fmt.Sprintf("%d of %d documents could not be redone: their jobs say why", r.FailedJobs, p.DocumentsDone))
	r.FinishedAt = now
	return r
}

// endedError says that the reindex has ended, and what to do about it.
func (r Reindex) endedError(remedy string) error {
	ended := string(r.State)
	if r.State == document.JobCancelled {
		ended = "been cancelled"
	}
	return fault.New(fault.Conflict, "reindex %s has %s: %s", r.ID, ended, remedy)
}

// findOrAddTarget takes up the space that the reindex is to build, or makes it.
func (r Reindex) findOrAddTarget(now time.Time) (next Reindex, err error) {
	r.Collection, r.To, err = r.Collection.findOrAddSpace(r.Wanted, now)
	return r, err
}

// retireTarget has nothing more written to the space that the reindex builds, unless it is
// the active one, and has it be dropped.
func (r Reindex) retireTarget(keep time.Duration, now time.Time) Reindex {
	if id := r.Builds(); id != r.Collection.Active {
		r.Collection = r.Collection.retire(id, false, keep, now)
	}
	return r
}

// resetProgress has the reindex look at all documents again.
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
