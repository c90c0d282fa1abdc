package knowledge

import (
	"context"
	"slices"
	"sync/atomic"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/vector"
)

// target is a space that the version is written to: the active space, or another space that is kept
// complete. Batches may finish in any order and concurrently.
type target struct {
	work     task.Work // with this space
	active   bool
	refused  refusedPassages
	leftOut  atomic.Bool  // it has failed, and nothing more is written to it
	embedded atomic.Int64 // number of passages
	reused   atomic.Int64 // number of passages

	warnings task.WarningCollector // about the passages in this space; Publish stores them
}

// newTargets returns the spaces of the work, the active space first.
func newTargets(work task.Work) []*target {
	targets := []*target{{work: work, active: true}}
	for _, space := range work.OtherSpaces {
		other := &target{work: work}
		other.work.Space = space
		targets = append(targets, other)
	}
	return targets
}

// groupByChunking groups targets by their chunking, the group of the active space first. Each group
// needs one pass over the original.
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

// handleTargetError decides what an error of a target means, and returns the error if the attempt
// fails. An error of the active space fails the attempt, and so does a lost lease. From any other
// space, the version is only left out: a new model that is down or refuses a document must not
// prevent the document from being found. A reindex adds the missing version later.
func (r *attempt) handleTargetError(ctx context.Context, t *target, err error) error {
	if t.active || ctx.Err() != nil || fault.Is(err, fault.LeaseLost) {
		return err
	}
	if t.leftOut.CompareAndSwap(false, true) {
		r.step.Log.WarnContext(ctx, "document is left out of a space that is not active; a reindex adds it later",
			"key", t.work.Key, "version", t.work.Version, "space", t.work.Space.ID, "model", t.work.Space.Model.Name, "error", err)
	}
	return nil
}

// otherSpaceVersions returns the spaces, other than the active one, in which the version is complete.
func (r *attempt) otherSpaceVersions() (spaceVersions []vector.SpaceVersion) {
	for _, t := range r.targets {
		if !t.active && !t.leftOut.Load() {
			spaceVersions = append(spaceVersions, vector.SpaceVersion{SpaceID: t.work.Space.ID, Passages: t.embedded.Load() + t.reused.Load(), Warnings: t.warnings.All()})
		}
	}
	return spaceVersions
}
