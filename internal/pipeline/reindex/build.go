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
	// pageSize is the number of documents or passages that are read at a time.
	pageSize = 100

	// verifySample is the number of passages that must be found by their own vectors before a space
	// may answer searches.
	verifySample = 20

	// leftOutAllowance is the number of documents that may be left out of any collection. If more
	// than that, and more than half of the collection, are left out, something is down.
	leftOutAllowance = 10

	// maxTries is the maximum number of tries without progress.
	maxTries = 3
)

// spaceBuilder is one attempt to build a space.
type spaceBuilder struct {
	step     *Step
	work     task.Work
	from, to vector.Space

	startedAt     time.Time
	secondsBefore float64 // duration of earlier attempts
	progress      document.ReindexProgress
	stage         document.ReindexStage
	checkpoint    uuid.UUID // the last document that an earlier attempt has completed
	contiguous    bool      // all documents before the current one are done

	pending    *writeBatch                      // the batch that is being filled
	leftOut    map[rebuild.MissingVersion]bool  // versions of this pass that are left out before their end
	readErrors map[rebuild.MissingVersion]error // errors of the first try; the version may have been deleted since

	warnings map[rebuild.MissingVersion]*task.WarningCollector // about truncated passages of unfinished versions
}

func (s *Step) newSpaceBuilder(work task.Work, plan rebuild.Plan, startedAt time.Time) *spaceBuilder {
	return &spaceBuilder{
		step: s, work: work, from: plan.From, to: plan.To,
		startedAt: startedAt, secondsBefore: plan.Reindex.Progress.Seconds, progress: plan.Reindex.Progress,
		stage: plan.Reindex.Stage, checkpoint: plan.Checkpoint, contiguous: true, pending: &writeBatch{},
		readErrors: map[rebuild.MissingVersion]error{}, leftOut: map[rebuild.MissingVersion]bool{},
		warnings: map[rebuild.MissingVersion]*task.WarningCollector{},
	}
}

// run adds the missing versions to the space, builds its index, verifies it, and makes it the active
// space. Documents are uploaded, changed and deleted meanwhile. So when versions turn out to be
// missing again, run adds them and verifies again.
func (b *spaceBuilder) run(ctx context.Context) error {
	b.step.Log.InfoContext(ctx, "building a space", "collection", b.work.Collection, "space", b.to.ID,
		"model", b.to.Model.Name, "dimensions", b.to.Model.Dimensions, "documents", b.progress.Documents, "done", b.progress.DocumentsDone)
	if _, err := b.addMissing(ctx); err != nil {
		return err
	}
	if err := b.buildIndex(ctx); err != nil {
		return err
	}
	for failures := 0; ; {
		added, err := b.addMissing(ctx) // that have become missing meanwhile
		if err != nil {
			return err
		}
		if err = b.verifyAndSwitch(ctx); err == nil {
			b.step.Log.InfoContext(ctx, "space is active", "collection", b.work.Collection, "space", b.to.ID,
				"passages", b.progress.Passages, "embedded", b.progress.Embedded)
			return nil
		}
		if failures++; added > 0 {
			failures = 1
		}
		if !fault.Is(err, fault.Conflict) || failures == maxTries {
			return err
		}
	}
}

// buildIndex builds the vector index of the space, which now has almost all its passages.
func (b *spaceBuilder) buildIndex(ctx context.Context) error {
	if err := b.setStage(ctx, document.StageIndex); err != nil {
		return err
	}
	if err := b.step.Store.IndexSpace(ctx, b.to, b.step.IndexThreshold); err != nil {
		return fmt.Errorf("index space %d: %w", b.to.ID, err)
	}
	return nil
}

// verifyAndSwitch verifies the space and makes it the active space. It returns fault.Conflict if
// versions are missing.
func (b *spaceBuilder) verifyAndSwitch(ctx context.Context) error {
	if err := b.setStage(ctx, document.StageVerify); err != nil {
		return err
	}
	if err := b.step.Store.VerifySpace(ctx, b.work, verifySample); err != nil {
		return fmt.Errorf("verify space %d: %w", b.to.ID, err)
	}
	if out, all := b.progress.LeftOutCount, b.progress.DocumentsDone; out > leftOutAllowance && out > all/2 {
		first := b.progress.LeftOut[0]
		return fault.New(fault.InputRejected, "%d of %d documents would be left out, so the active space is not replaced; the first is %q: %s",
			out, all, first.Key, first.Error)
	}
	// Nothing is left to do: versions that this reindex has not added were added by knowledge tasks,
	// deleted or superseded.
	final := b.currentProgress()
	final.Documents, final.Bytes = final.DocumentsDone, final.BytesDone
	if err := b.step.Store.ActivateSpace(ctx, b.work, b.step.Soak, final); err != nil {
		return fmt.Errorf("switch to space %d: %w", b.to.ID, err)
	}
	return nil
}

// setStage records the stage. The stage of a revert does not change, because it says which space the
// reindex builds.
func (b *spaceBuilder) setStage(ctx context.Context, stage document.ReindexStage) error {
	if b.stage == stage || b.stage == document.StageReverting {
		return nil
	}
	if err := b.step.Store.SetReindexStage(ctx, b.work, stage, b.currentProgress()); err != nil {
		return fmt.Errorf("record stage %s: %w", stage, err)
	}
	b.stage = stage
	b.step.Changes.NotifyChange(ctx, b.work.JobID)
	return nil
}

// currentProgress returns the progress with the time used so far.
func (b *spaceBuilder) currentProgress() document.ReindexProgress {
	p := b.progress
	p.Seconds = b.secondsBefore + time.Since(b.startedAt).Seconds()
	return p
}
