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
	next, err := r.findOrAddTarget(now)
	if err != nil {
		return Reindex{}, err
	}
	return next, nil
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
