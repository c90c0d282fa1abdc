package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// wantEstimate checks the numbers of an estimate.
func wantEstimate(t *testing.T, ctx context.Context, s Store, when string, request document.ReindexRequest, documents, passages, reusable, tokens int64) {
	t.Helper()
	got := estimateReindex(t, ctx, s, request)
	if got.Documents != documents || got.Passages != passages || got.Reusable != reusable || got.Tokens != tokens {
		t.Errorf("%s: got %+v, want %d documents, %d passages, %d of them reusable, and %d tokens",
			when, got, documents, passages, reusable, tokens)
	}
}

// What stands above a passage is embedded with it, and has about one token for
// every four bytes.
func estimatesWhatStandsAbove(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "estimate above")
	bare, below := passageOf("bare", 1, 0, 0), passageOf("below", 0, 1, 0)
	bare.HeadingPath = nil
	below.HeadingPath, below.Context = []string{"Überschrift", "B, \"C\""}, "| x |\n|---|"
	publishDocument(t, ctx, s, uploadOf(c, "a"), bare, below)
	above := len("Überschrift > B, \"C\"") + len("| x |\n|---|")
	wantEstimate(t, ctx, s, "two", changeModelRequest(c), 1, 2, 0, int64(len("bare")+len("below")+(above+3)/4))
}

// All live documents count, whatever is in the space already.
func estimatesWhatIsHalfDone(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "estimate half done")
	a := publishTexts(t, ctx, s, c, "a", "half one", "half two")
	publishTexts(t, ctx, s, c, "b", "half three")
	work := startReindex(t, ctx, s, changeModelRequest(c))
	writeToSpace(t, ctx, s, work, spaceWriteOf(a, passagesIn(work.Space, "half one", "half two")...))
	heading := (len("Heading") + 3) / 4
	tokens := int64(len("half three") + heading)
	wantEstimate(t, ctx, s, "while it is running", changeModelRequest(c), 2, 3, 2, tokens)
	cancelReindex(t, ctx, s, work.JobID, leaseTime)
	wantEstimate(t, ctx, s, "once it was cancelled", changeModelRequest(c), 2, 3, 2, tokens)
}

// What a version that failed has written says nothing of what there is to do.
func estimatesPublishedVersions(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "estimate live")
	publishTexts(t, ctx, s, c, "a", "one", "two")
	job := acceptUpload(t, ctx, s, uploadOf(c, "a")).Job
	work := claimTask(t, ctx, s, job, task.KindKnowledge)
	writeBatch(t, ctx, s, work, batchOf(0, passagesIn(c.ActiveSpace, "of a version that failed")...), document.KnowledgeProgress{Passages: 1})
	for _, work := range []task.Work{work, claimTask(t, ctx, s, job, task.KindSummary)} {
		recordOutcome(t, ctx, s, work, task.Outcome{Verdict: task.VerdictFail, Error: "broken"})
	}
	wantEstimate(t, ctx, s, "a version has failed", document.ReindexRequest{Collection: c.Name}, 1, 2, 2, 0)
}

// Which was begun first does not matter, and what is running counts as the last.
func ratesByTheLastThatEnded(t *testing.T, ctx context.Context, s Store) {
	model := document.Model{Name: "rated last", Dimensions: 2}
	begin := func(collection string) task.Work {
		t.Helper()
		return startReindex(t, ctx, s, document.ReindexRequest{Collection: ensureCollection(t, ctx, s, collection).Name, Model: model})
	}
	want := func(when string, want float64) {
		t.Helper()
		if got := embeddingRate(t, ctx, s, model); got != want {
			t.Errorf("%s: got a rate of %v, want %v", when, got, want)
		}
	}
	long, short, running := begin("rate long"), begin("rate short"), document.ReindexProgress{Embedded: 7, Seconds: 1}
	if err := s.ActivateSpace(ctx, short, leaseTime, document.ReindexProgress{Embedded: 5, Seconds: 1}); err != nil {
		t.Fatal(err)
	}
	if err := s.SetReindexStage(ctx, long, document.StageVerify, running); err != nil {
		t.Fatal(err)
	}
	want("the first is running", 7)
	if err := s.ActivateSpace(ctx, long, leaseTime, document.ReindexProgress{Embedded: 6, Seconds: 1}); err != nil {
		t.Fatal(err)
	}
	want("the first has ended last", 6)
}

// What a job has embedded counts once, in however many spaces it stands.
func ratesJobsOnce(t *testing.T, ctx context.Context, s Store) {
	model := document.Model{Name: "rated by jobs once", Dimensions: 2}
	c, err := s.EnsureCollection(ctx, "rate of jobs once", model, document.Chunking{Tokens: 400})
	if err != nil {
		t.Fatal(err)
	}
	beginReindex(t, ctx, s, document.ReindexRequest{Collection: c.Name, Tokens: 100})
	work := beginKnowledge(t, ctx, s, c, "a")
	from, to := time.Now(), time.Now()
	const writes = 20 // so that they take longer than all the rest
	progress := document.KnowledgeProgress{Passages: writes, Embedded: 2 * writes}
	for i := range writes {
		for _, space := range []vector.Space{work.OtherSpaces[0], work.Space} {
			to = time.Now()
			writeBatch(t, ctx, s, withSpace(space, work), batchOf(i, passagesIn(space, fmt.Sprint("once ", i))...), progress)
		}
	}
	if err := s.Publish(ctx, work, []vector.SpaceVersion{{SpaceID: work.OtherSpaces[0].ID, Passages: writes}}, progress); err != nil {
		t.Fatal(err)
	}
	most := float64(progress.Embedded) / to.Sub(from).Seconds()
	if got := embeddingRate(t, ctx, s, model); got <= 0 || got > most*1.01 {
		t.Errorf("%d passages were embedded within %s or more: got %v a second, want %v at most", progress.Embedded, to.Sub(from), got, most)
	}
}
