package knowledge

import (
	"context"
	"slices"
	"sync/atomic"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/vector"
)

// target is a space that the version is placed in: the live one, or one beside
// it that is kept complete. Batches finish in any order and at the same time.
type target struct {
	work     task.Work // in this space
	active   bool
	refused  refusedPassages
	leftOut  atomic.Bool  // something about it has failed
	embedded atomic.Int64 // passages
	reused   atomic.Int64 // passages

	warnings task.WarningCollector // what Publish stores of its passages
}

// newTargets returns the spaces of the work, the live one first.
func newTargets(work task.Work) []*target {
	targets := []*target{{work: work, active: true}}
	for _, space := range work.OtherSpaces {
		beside := &target{work: work}
		beside.work.Space = space
		targets = append(targets, beside)
	}
	return targets
}

// groupByChunking groups targets by how they have documents cut, those of the live space
// first: each group takes one pass over the original.
func groupByChunking(targets []*target) (passes [][]*target) {
	for _, t := range targets {
		i := slices.IndexFunc(passes, func(pass []*target) bool {
			return pass[0].work.Space.Chunking == t.work.Space.Chunking
		})
		if i < 0 {
			passes = append(passes, []*target{t})
		} else {
			passes[i] = append(passes[i], t)
		}
	}
	return passes
}

// handleTargetError says what becomes of a failure about a target. Beside the live space it
// only has the target left out: a new model that is down or refuses a document
// must not keep it from being found. Whatever needs that space whole places the
// document later.
func (r *attempt) handleTargetError(ctx context.Context, t *target, err error) error {
	if t.active || ctx.Err() != nil || fault.Is(err, fault.LeaseLost) {
		return err
	}
	if t.leftOut.CompareAndSwap(false, true) {
		r.step.Log.WarnContext(ctx, "document is left out of a space beside the live one, and placed there later",
			"key", t.work.Key, "version", t.work.Version, "space", t.work.Space.ID, "model", t.work.Space.Model.Name, "error", err)
	}
	return nil
}

// otherSpaceVersions returns where the version stands whole beside the live space.
func (r *attempt) otherSpaceVersions() (spaceVersions []vector.SpaceVersion) {
	for _, t := range r.targets {
		if !t.active && !t.leftOut.Load() {
			spaceVersions = append(spaceVersions, vector.SpaceVersion{SpaceID: t.work.Space.ID, Passages: t.embedded.Load() + t.reused.Load(), Warnings: t.warnings.All()})
		}
	}
	return spaceVersions
}
