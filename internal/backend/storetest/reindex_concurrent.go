package storetest

import (
	"context"
	"fmt"
	"testing"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/rebuild"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Either the version is in the space that is gone back to, or the reindex places it
// there first, or its publication is told to try again.
func losesNothingThatIsPublishedWhileReverting(t *testing.T, ctx context.Context, s Store) {
	for i := range 10 {
		c := ensureCollection(t, ctx, s, fmt.Sprint("revert and publish ", i))
		publishTexts(t, ctx, s, c, "a", "one")
		done := runReindex(t, ctx, s, changeModelRequest(c), leaseTime)
		next := readCollection(t, ctx, s, c)
		if i%4 > 1 { // another reindex has left the space: nothing is written to it
			back := startReindex(t, ctx, s, document.ReindexRequest{Collection: c.Name, Model: c.ActiveSpace.Model})
			cancelReindex(t, ctx, s, back.JobID, leaseTime)
		}
		upload := beginKnowledge(t, ctx, s, c, "b")
		progress := document.KnowledgeProgress{Passages: 1}
		var placed []vector.SpaceVersion
		writeBatch(t, ctx, s, upload, batchOf(0, passagesIn(next.ActiveSpace, "two")...), progress)
		if i%4 == 0 {
			placed = []vector.SpaceVersion{{SpaceID: c.ActiveSpace.ID, Passages: 1}}
			writeBatch(t, ctx, s, withSpace(c.ActiveSpace, upload), batchOf(0, passagesIn(c.ActiveSpace, "two")...), progress)
		}
		var reverted document.Reindex
		var failed, published error
		concurrently(t, 2, func(n int) error {
			if n == 0 {
				reverted, failed = s.RevertReindex(ctx, done.ID, leaseTime)
			} else {
				published = s.Publish(ctx, upload, placed, progress)
			}
			return nil
		})
		switch {
		case fault.Is(failed, fault.Conflict) && i%4 > 1:
			continue // the store keeps no space that was cancelled
		case failed == nil && published == nil && placed != nil && reverted.Stage == document.StageReverted:
			wantHits(t, ctx, s, "both are done", c, "one", "two")
		case failed == nil && fault.Is(published, fault.Unavailable) && placed == nil && reverted.Stage == document.StageReverted:
			wantHits(t, ctx, s, "reverted", c, "one")
		case failed == nil && published == nil && placed == nil && reverted.Stage == document.StageReverting:
			wantHits(t, ctx, s, "published", c, "one", "two")
			work := claimReindex(t, ctx, s, done.ID)
			writeMissing(t, ctx, s, work)
			activateSpace(t, ctx, s, work, leaseTime)
			wantHits(t, ctx, s, "published and reverted", c, "one", "two")
		default:
			t.Errorf("published in %+v: revert: stage %s, %v; publish: %v", placed, reverted.Stage, failed, published)
		}
	}
}

// What is deleted is no obstacle, and is not there afterwards; what fails is as it
// was before, or pending.
func activatesWhileDocumentsAreDeleted(t *testing.T, ctx context.Context, s Store) {
	for i := range 10 {
		c := ensureCollection(t, ctx, s, fmt.Sprint("switch and delete ", i))
		publishTexts(t, ctx, s, c, "a", "one")
		whole := publishTexts(t, ctx, s, c, "b", "two")
		work := startReindex(t, ctx, s, changeModelRequest(c))
		writeMissing(t, ctx, s, work)
		late := publishTexts(t, ctx, s, c, "c", "three") // which the space lacks
		failing := beginKnowledge(t, ctx, s, c, "d")
		var switched error
		concurrently(t, 4, func(n int) error {
			switch n {
			case 0:
				switched = s.ActivateSpace(ctx, work, leaseTime, document.ReindexProgress{})
				return nil
			case 1:
				return s.DeleteDocument(ctx, late.DocumentID)
			case 2:
				return s.DeleteDocument(ctx, whole.DocumentID)
			default:
				return s.RecordOutcome(ctx, failing, task.Outcome{Verdict: task.VerdictFail, Error: "not this"})
			}
		})
		if fault.Is(switched, fault.Conflict) {
			switched = s.ActivateSpace(ctx, work, leaseTime, document.ReindexProgress{})
		}
		if switched != nil {
			t.Fatal(switched)
		}
		wantHits(t, ctx, s, "switched", c, "one")
		wantState(t, ctx, s, "switched", rebuild.MissingVersion{DocumentID: failing.DocumentID}, document.DocumentFailed)
		r := readReindex(t, ctx, s, work.JobID)
		if p := r.Progress; r.State != document.JobSucceeded || p.LeftOutCount != int64(len(p.LeftOut)) ||
			p.LeftOutCount > 1 || p.LeftOutCount == 1 && p.LeftOut[0].DocumentID != failing.DocumentID {
			t.Errorf("got %s, left out %+v; want nothing but what failed", r.State, p.LeftOut)
		}
		revertReindex(t, ctx, s, r.ID, leaseTime)
		wantHits(t, ctx, s, "reverted", c, "one")
	}
}

// A document that was left out is ready when its next version is published, before
// the switch or after it; one of which nothing else was published is failed.
func activatesWhileLeftOutVersionsAreReplaced(t *testing.T, ctx context.Context, s Store) {
	for i := range 10 {
		c := ensureCollection(t, ctx, s, fmt.Sprint("switch and replace ", i))
		work := startReindex(t, ctx, s, changeModelRequest(c))
		replaced := publishTexts(t, ctx, s, c, "a", "one")
		left := publishTexts(t, ctx, s, c, "b", "two")
		for _, of := range []rebuild.MissingVersion{replaced, left} {
			writeToSpace(t, ctx, s, work, rebuild.SpaceWrite{Versions: []rebuild.VersionWrite{{MissingVersion: of, LeftOutReason: "not this"}}})
		}
		upload := beginKnowledge(t, ctx, s, c, "a")
		progress := document.KnowledgeProgress{Passages: 1}
		writeBatch(t, ctx, s, upload, batchOf(0, passagesIn(c.ActiveSpace, "three")...), progress)
		writeBatch(t, ctx, s, withSpace(work.Space, upload), batchOf(0, passagesIn(work.Space, "three")...), progress)
		concurrently(t, 2, func(n int) error {
			if n == 0 {
				return s.ActivateSpace(ctx, work, leaseTime, document.ReindexProgress{})
			}
			return s.Publish(ctx, upload, []vector.SpaceVersion{{SpaceID: work.Space.ID, Passages: 1}}, progress)
		})
		wantHits(t, ctx, s, "switched", c, "three")
		wantState(t, ctx, s, "replaced", replaced, document.DocumentReady)
		wantState(t, ctx, s, "left out", left, document.DocumentFailed)
		revertReindex(t, ctx, s, work.JobID, leaseTime)
		wantHits(t, ctx, s, "reverted", c, "three", "two")
		wantState(t, ctx, s, "reverted", left, document.DocumentReady)
	}
}
