package storetest

import (
	"context"
	"testing"

	"github.com/seed-7a112592/gristmill/internal/rebuild"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// What a reindex bought and has not placed yet is still to be placed.
func keepsOrphansOfASpaceBeingBuilt(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "c")
	publishTexts(t, ctx, s, c, "a", "one")
	work := startReindex(t, ctx, s, changeModelRequest(c))
	bought := passagesIn(work.Space, "bought")
	writeToSpace(t, ctx, s, work, rebuild.SpaceWrite{New: bought})
	for _, when := range []string{"running", "waiting"} {
		collectPassages(t, ctx, s)
		wantReusable(t, ctx, s, work.Space, bought, bought...)
		if when == "running" {
			recordOutcome(t, ctx, s, work, task.Outcome{Verdict: task.VerdictWait, Error: "down"})
		}
	}
	work = claimReindex(t, ctx, s, work.JobID)
	writeMissing(t, ctx, s, work)
	r := activateSpace(t, ctx, s, work, leaseTime)
	collectPassages(t, ctx, s)
	wantReusable(t, ctx, s, work.Space, bought)

	// The space from before is written too, and what is superseded in it goes;
	// but not while it is being completed.
	publishEverywhere(t, ctx, s, acceptUpload(t, ctx, s, uploadOf(c, "a")).Job, "two")
	late := publishTexts(t, ctx, s, c, "late", "three")
	revertReindex(t, ctx, s, r.ID, leaseTime)
	collectVersions(t, ctx, s)
	one := passagesIn(c.ActiveSpace, "one")
	collectPassages(t, ctx, s)
	wantReusable(t, ctx, s, c.ActiveSpace, one, one...)
	work = claimReindex(t, ctx, s, r.ID)
	wantMissing(t, ctx, s, "reverting", work, late)
	writeMissing(t, ctx, s, work)
	activateSpace(t, ctx, s, work, leaseTime)
	collectPassages(t, ctx, s)
	wantReusable(t, ctx, s, c.ActiveSpace, one)
	wantHits(t, ctx, s, "reverted", c, "three", "two")
}

// Nothing is written to what a reindex left when it was paused, failed or was
// cancelled, and so nothing keeps what it bought from looking idle.
func keepsOrphansOfAKeptSpace(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "c")
	work := startReindex(t, ctx, s, changeModelRequest(c))
	bought := passagesIn(work.Space, "bought")
	writeToSpace(t, ctx, s, work, rebuild.SpaceWrite{New: bought})
	kept := func(when string) {
		t.Helper()
		collectPassages(t, ctx, s)
		wantReusable(t, ctx, s, work.Space, bought, bought...)
	}
	controlReindex(t, ctx, s, s.PauseReindex, work.JobID)
	kept("paused")
	controlReindex(t, ctx, s, s.ResumeReindex, work.JobID)
	recordOutcome(t, ctx, s, claimReindex(t, ctx, s, work.JobID), task.Outcome{Verdict: task.VerdictFail, Error: "broken"})
	kept("failed")
	cancelReindex(t, ctx, s, beginReindex(t, ctx, s, changeModelRequest(c)).ID, leaseTime)
	kept("cancelled")
}

func keepsOrphansWhileTheCollectionIsWrittenTo(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "c")
	publishTexts(t, ctx, s, c, "a", "one")
	r := runReindex(t, ctx, s, changeModelRequest(c), leaseTime)
	upload := beginKnowledge(t, ctx, s, c, "b")
	bought := passagesIn(c.ActiveSpace, "bought")
	writeBatch(t, ctx, s, withSpace(c.ActiveSpace, upload), batchOf(0, bought...), document.KnowledgeProgress{})
	recordOutcome(t, ctx, s, upload, task.Outcome{Verdict: task.VerdictRetry, Error: "hiccup"})
	upload = claimTask(t, ctx, s, readJob(t, ctx, s, upload.JobID), task.KindKnowledge) // which takes the places away
	collectPassages(t, ctx, s)
	wantKnown(t, ctx, s, c.ActiveSpace, hashesOf(bought...), bought...)
	recordOutcome(t, ctx, s, upload, task.Outcome{Verdict: task.VerdictFail, Error: "broken"})
	collectPassages(t, ctx, s)
	revertReindex(t, ctx, s, r.ID, leaseTime)
	wantHits(t, ctx, s, "reverted", c, "one")
}
