package storetest

import (
	"context"
	"testing"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// What a reindex bought and has not placed yet is still to be placed.
func dropsNoOrphanOfASpaceInTheMaking(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "c")
	publishTexts(t, ctx, s, c, "a", "one")
	work := startReindex(t, ctx, s, anotherModel(c))
	bought := passagesIn(work.Space, "bought")
	place(t, ctx, s, work, document.Rebuilt{New: bought})
	for _, when := range []string{"running", "waiting"} {
		collectPassages(t, ctx, s)
		wantEmbedded(t, ctx, s, work.Space, bought, bought...)
		if when == "running" {
			settle(t, ctx, s, work, document.Outcome{Verdict: document.VerdictWait, Error: "down"})
		}
	}
	work = claimReindex(t, ctx, s, work.Job)
	fill(t, ctx, s, work)
	r := finish(t, ctx, s, work, leaseTime)
	collectPassages(t, ctx, s)
	wantEmbedded(t, ctx, s, work.Space, bought)

	// The space from before is written too, and what is superseded in it goes;
	// but not while it is being completed.
	publishEverywhere(t, ctx, s, accept(t, ctx, s, uploadOf(c, "a")).Job, "two")
	late := publishTexts(t, ctx, s, c, "late", "three")
	revertReindex(t, ctx, s, r.ID, leaseTime)
	collectVersions(t, ctx, s)
	one := passagesIn(c.Space, "one")
	collectPassages(t, ctx, s)
	wantEmbedded(t, ctx, s, c.Space, one, one...)
	work = claimReindex(t, ctx, s, r.ID)
	wantUnplaced(t, ctx, s, "reverting", work, late)
	fill(t, ctx, s, work)
	finish(t, ctx, s, work, leaseTime)
	collectPassages(t, ctx, s)
	wantEmbedded(t, ctx, s, c.Space, one)
	wantFound(t, ctx, s, "reverted", c, "three", "two")
}

// Nothing is written to what a reindex left when it was paused, failed or was
// cancelled, and so nothing keeps what it bought from looking idle.
func dropsNoOrphanOfASpaceThatIsKept(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "c")
	work := startReindex(t, ctx, s, anotherModel(c))
	bought := passagesIn(work.Space, "bought")
	place(t, ctx, s, work, document.Rebuilt{New: bought})
	kept := func(when string) {
		t.Helper()
		collectPassages(t, ctx, s)
		wantEmbedded(t, ctx, s, work.Space, bought, bought...)
	}
	steerReindex(t, ctx, s, s.PauseReindex, work.Job)
	kept("paused")
	steerReindex(t, ctx, s, s.ResumeReindex, work.Job)
	settle(t, ctx, s, claimReindex(t, ctx, s, work.Job), document.Outcome{Verdict: document.VerdictFail, Error: "broken"})
	kept("failed")
	cancelReindex(t, ctx, s, beginReindex(t, ctx, s, anotherModel(c)).ID, leaseTime)
	kept("cancelled")
}

func dropsNoOrphanWhileItsCollectionIsWrittenTo(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "c")
	publishTexts(t, ctx, s, c, "a", "one")
	r := change(t, ctx, s, anotherModel(c), leaseTime)
	upload := begin(t, ctx, s, c, "b")
	bought := passagesIn(c.Space, "bought")
	write(t, ctx, s, in(c.Space, upload), batchOf(0, bought...), document.KnowledgeProgress{})
	settle(t, ctx, s, upload, document.Outcome{Verdict: document.VerdictRetry, Error: "hiccup"})
	upload = claim(t, ctx, s, readJob(t, ctx, s, upload.Job), document.Knowledge) // which takes the places away
	collectPassages(t, ctx, s)
	wantKnown(t, ctx, s, c.Space, hashesOf(bought...), bought...)
	settle(t, ctx, s, upload, document.Outcome{Verdict: document.VerdictFail, Error: "broken"})
	collectPassages(t, ctx, s)
	revertReindex(t, ctx, s, r.ID, leaseTime)
	wantFound(t, ctx, s, "reverted", c, "one")
}
