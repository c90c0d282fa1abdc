package storetest

import (
	"context"
	"fmt"
	"testing"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
)

// Either the version is in the space that is gone back to, or the reindex places it
// there first, or its publication is told to try again.
func losesNothingThatIsPublishedWhileReverting(t *testing.T, ctx context.Context, s Store) {
	for i := range 10 {
		c := ensure(t, ctx, s, fmt.Sprint("revert and publish ", i))
		publishTexts(t, ctx, s, c, "a", "one")
		done := change(t, ctx, s, anotherModel(c), leaseTime)
		next := live(t, ctx, s, c)
		if i%4 > 1 { // another reindex has left the space: nothing is written to it
			back := startReindex(t, ctx, s, document.ReindexRequest{Collection: c.Name, Model: c.Space.Model})
			cancelReindex(t, ctx, s, back.Job, leaseTime)
		}
		upload := begin(t, ctx, s, c, "b")
		progress := document.KnowledgeProgress{Passages: 1}
		var placed []document.Placement
		write(t, ctx, s, upload, batchOf(0, passagesIn(next.Space, "two")...), progress)
		if i%4 == 0 {
			placed = []document.Placement{{Space: c.Space.ID, Passages: 1}}
			write(t, ctx, s, in(c.Space, upload), batchOf(0, passagesIn(c.Space, "two")...), progress)
		}
		var reverted document.Reindex
		var failed, published error
		together(t, 2, func(n int) error {
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
			wantFound(t, ctx, s, "both are done", c, "one", "two")
		case failed == nil && fault.Is(published, fault.Unavailable) && placed == nil && reverted.Stage == document.StageReverted:
			wantFound(t, ctx, s, "reverted", c, "one")
		case failed == nil && published == nil && placed == nil && reverted.Stage == document.StageReverting:
			wantFound(t, ctx, s, "published", c, "one", "two")
			work := claimReindex(t, ctx, s, done.ID)
			fill(t, ctx, s, work)
			finish(t, ctx, s, work, leaseTime)
			wantFound(t, ctx, s, "published and reverted", c, "one", "two")
		default:
			t.Errorf("published in %+v: revert: stage %s, %v; publish: %v", placed, reverted.Stage, failed, published)
		}
	}
}

// What is deleted is no obstacle, and is not there afterwards; what fails is as it
// was before, or pending.
func switchesWhileDocumentsGo(t *testing.T, ctx context.Context, s Store) {
	for i := range 10 {
		c := ensure(t, ctx, s, fmt.Sprint("switch and delete ", i))
		publishTexts(t, ctx, s, c, "a", "one")
		whole := publishTexts(t, ctx, s, c, "b", "two")
		work := startReindex(t, ctx, s, anotherModel(c))
		fill(t, ctx, s, work)
		late := publishTexts(t, ctx, s, c, "c", "three") // which the space lacks
		failing := begin(t, ctx, s, c, "d")
		var switched error
		together(t, 4, func(n int) error {
			switch n {
			case 0:
				switched = s.Switch(ctx, work, leaseTime, document.ReindexProgress{})
				return nil
			case 1:
				return s.DeleteDocument(ctx, late.Document)
			case 2:
				return s.DeleteDocument(ctx, whole.Document)
			default:
				return s.Settle(ctx, failing, document.Outcome{Verdict: document.VerdictFail, Error: "not this"})
			}
		})
		if fault.Is(switched, fault.Conflict) {
			switched = s.Switch(ctx, work, leaseTime, document.ReindexProgress{})
		}
		if switched != nil {
			t.Fatal(switched)
		}
		wantFound(t, ctx, s, "switched", c, "one")
		wantState(t, ctx, s, "switched", document.Unplaced{Document: failing.Document}, document.Failed)
		r := readReindex(t, ctx, s, work.Job)
		if p := r.Progress; r.State != document.Succeeded || p.LeftOutCount != int64(len(p.LeftOut)) ||
			p.LeftOutCount > 1 || p.LeftOutCount == 1 && p.LeftOut[0].Document != failing.Document {
			t.Errorf("got %s, left out %+v; want nothing but what failed", r.State, p.LeftOut)
		}
		revertReindex(t, ctx, s, r.ID, leaseTime)
		wantFound(t, ctx, s, "reverted", c, "one")
	}
}

// A document that was left out is ready when its next version is published, before
// the switch or after it; one of which nothing else was published is failed.
func switchesWhileWhatWasLeftOutIsReplaced(t *testing.T, ctx context.Context, s Store) {
	for i := range 10 {
		c := ensure(t, ctx, s, fmt.Sprint("switch and replace ", i))
		work := startReindex(t, ctx, s, anotherModel(c))
		replaced := publishTexts(t, ctx, s, c, "a", "one")
		left := publishTexts(t, ctx, s, c, "b", "two")
		for _, of := range []document.Unplaced{replaced, left} {
			place(t, ctx, s, work, document.Rebuilt{Places: []document.RebuiltPlaces{{Unplaced: of, LeftOut: "not this"}}})
		}
		upload := begin(t, ctx, s, c, "a")
		progress := document.KnowledgeProgress{Passages: 1}
		write(t, ctx, s, upload, batchOf(0, passagesIn(c.Space, "three")...), progress)
		write(t, ctx, s, in(work.Space, upload), batchOf(0, passagesIn(work.Space, "three")...), progress)
		together(t, 2, func(n int) error {
			if n == 0 {
				return s.Switch(ctx, work, leaseTime, document.ReindexProgress{})
			}
			return s.Publish(ctx, upload, []document.Placement{{Space: work.Space.ID, Passages: 1}}, progress)
		})
		wantFound(t, ctx, s, "switched", c, "three")
		wantState(t, ctx, s, "replaced", replaced, document.Ready)
		wantState(t, ctx, s, "left out", left, document.Failed)
		revertReindex(t, ctx, s, work.Job, leaseTime)
		wantFound(t, ctx, s, "reverted", c, "three", "two")
		wantState(t, ctx, s, "reverted", left, document.Ready)
	}
}
