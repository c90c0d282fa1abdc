package reindex

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/rebuild"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

const (
	// pageSize is how many documents or passages are asked for at a time.
	pageSize = 100

	// verifySample is how many passages must find themselves before a space may
	// answer searches.
	verifySample = 20

	// leftOutAllowance is how many documents may be left out whatever the size of the
	// collection. More than that, and than half of it, would be an outage.
	leftOutAllowance = 10

	// maxTries is how often what is not getting anywhere is tried.
	maxTries = 3
)

// spaceBuilder is one attempt at building a space.
type spaceBuilder struct {
	step     *Step
	work     task.Work
	from, to vector.Space

	startedAt     time.Time
	secondsBefore float64 // of earlier attempts
	progress      document.ReindexProgress
	stage         document.ReindexStage
	reached       uuid.UUID // the last document that an earlier attempt has done
	contiguous    bool      // all documents before the one at hand are done

	pending    *writeBatch                      // being gathered
	leftOut    map[rebuild.MissingVersion]bool  // of the pass at hand
	readErrors map[rebuild.MissingVersion]error // why they could not be read, though they may be gone by now

	warnings map[rebuild.MissingVersion]*task.WarningCollector // of passages that are embedded in part
}

func (s *Step) newSpaceBuilder(work task.Work, plan rebuild.Plan, begun time.Time) *spaceBuilder {
	return &spaceBuilder{
		step: s, work: work, from: plan.From, to: plan.To,
		startedAt: begun, secondsBefore: plan.Reindex.Progress.Seconds, progress: plan.Reindex.Progress,
		stage: plan.Reindex.Stage, reached: plan.Checkpoint, contiguous: true, pending: &writeBatch{}, readErrors: map[rebuild.MissingVersion]error{}, leftOut: map[rebuild.MissingVersion]bool{},
		warnings: map[rebuild.MissingVersion]*task.WarningCollector{},
	}
}

// run places every document in the space, has it indexed and verified, and
// makes it the live one. Documents come, change and go meanwhile: whatever is
// found to be missing is placed, and then looked at again.
func (b *spaceBuilder) run(ctx context.Context) error {
	b.step.Log.InfoContext(ctx, "building a space", "collection", b.work.Collection, "space", b.to.ID,
		"model", b.to.Model.Name, "dimensions", b.to.Model.Dimensions, "documents", b.progress.Documents, "done", b.progress.DocumentsDone)
	if _, err := b.addMissing(ctx); err != nil {
		return err
	}
	if err := b.buildIndex(ctx); err != nil {
		return err
	}
	for fruitless := 0; ; {
		placed, err := b.addMissing(ctx) // that have come to be missing meanwhile
		if err != nil {
			return err
		}
		if err = b.verifyAndSwitch(ctx); err == nil {
			b.step.Log.InfoContext(ctx, "space is live", "collection", b.work.Collection, "space", b.to.ID,
				"passages", b.progress.Passages, "embedded", b.progress.Embedded)
			return nil
		}
		if fruitless++; placed > 0 {
			fruitless = 1
		}
		if !fault.Is(err, fault.Conflict) || fruitless == maxTries {
			return err
		}
	}
}

// buildIndex has the space's vectors indexed, now that there are as many as there
// will be.
func (b *spaceBuilder) buildIndex(ctx context.Context) error {
	if err := b.setStage(ctx, document.StageIndex); err != nil {
		return err
	}
	if err := b.step.Store.IndexSpace(ctx, b.to, b.step.IndexThreshold); err != nil {
		return fmt.Errorf("index space %d: %w", b.to.ID, err)
	}
	return nil
}

// verifyAndSwitch makes the space the live one, if it may be. fault.Conflict when
// documents are missing.
func (b *spaceBuilder) verifyAndSwitch(ctx context.Context) error {
	if err := b.setStage(ctx, document.StageVerify); err != nil {
		return err
	}
	if err := b.step.Store.VerifySpace(ctx, b.work, verifySample); err != nil {
		return fmt.Errorf("verify space %d: %w", b.to.ID, err)
	}
	// What was written by others, deleted or superseded is not left to be done.
	if out, all := b.progress.LeftOutCount, b.progress.DocumentsDone; out > leftOutAllowance && out > all/2 {
		first := b.progress.LeftOut[0]
		return fault.New(fault.InputRejected, "%d of %d documents would be left out, so searches stay with the space that is live; the first is %q: %s",
			out, all, first.Key, first.Error)
	}
	whole := b.currentProgress()
	whole.Documents, whole.Bytes = whole.DocumentsDone, whole.BytesDone
	if err := b.step.Store.ActivateSpace(ctx, b.work, b.step.Soak, whole); err != nil {
		return fmt.Errorf("switch to space %d: %w", b.to.ID, err)
	}
	return nil
}

// setStage notes the stage. One that goes back to a space it has left stays at
// that: it says which of the spaces it builds.
func (b *spaceBuilder) setStage(ctx context.Context, stage document.ReindexStage) error {
	if b.stage == stage || b.stage == document.StageReverting {
		return nil
	}
	if err := b.step.Store.SetReindexStage(ctx, b.work, stage, b.currentProgress()); err != nil {
		return fmt.Errorf("note stage %s: %w", stage, err)
	}
	b.stage = stage
	b.step.Changes.NotifyChange(ctx, b.work.JobID)
	return nil
}

// currentProgress returns the progress as of now.
func (b *spaceBuilder) currentProgress() document.ReindexProgress {
	p := b.progress
	p.Seconds = b.secondsBefore + time.Since(b.startedAt).Seconds()
	return p
}
