package lifecycle

import (
	"fmt"
	"time"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

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
