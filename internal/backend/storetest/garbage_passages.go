package storetest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/garbage"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

func hashesOf(passages ...vector.EmbeddedPassage) []document.ContentHash {
	hashes := []document.ContentHash{}
	for _, p := range passages {
		hashes = append(hashes, p.Hash)
	}
	return hashes
}

func wantKnown(t *testing.T, ctx context.Context, s Store, space vector.Space, hashes []document.ContentHash, want ...vector.EmbeddedPassage) {
	t.Helper()
	known, err := s.ReusePassages(ctx, space, hashes)
	if err != nil {
		t.Fatal(err)
	}
	wanted := map[document.ContentHash]int{}
	for _, p := range want {
		wanted[p.Hash] = p.EmbeddedBytes
	}
	if diff := cmp.Diff(wanted, known, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("known (-want +got):\n%s", diff)
	}
}

func collectsOrphansOnly(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "c")
	kept := passageOf("kept", 1, 0, 0)
	gone := []vector.EmbeddedPassage{passageOf("gone 1", 1, 0, 0), passageOf("gone 2", 1, 0, 0), passageOf("gone 3", 1, 0, 0)}
	all := append([]vector.EmbeddedPassage{kept}, gone...)
	first := publishDocument(t, ctx, s, uploadOf(c, "a"), all...)
	publishDocument(t, ctx, s, uploadOf(c, "a"), kept)
	if got := garbageOf(t, ctx, s, garbage.KindPassages, farFuture); len(got) > 0 {
		t.Errorf("both versions are there: listed %+v", got)
	}
	collectVersion(t, ctx, s, first.Document.ID, 1)
	// They were published, so no failed attempt has paid for them.
	if got := garbageOf(t, ctx, s, garbage.KindPassages, 0); len(got) == 0 {
		t.Error("nothing is listed at once")
	}
	wantKnown(t, ctx, s, c.ActiveSpace, hashesOf(all...), all...)
	collectPassages(t, ctx, s)
	wantKnown(t, ctx, s, c.ActiveSpace, hashesOf(all...), kept)
	wantContents(t, nearest(t, ctx, s, c, vector.Query{}), "kept")
	if got := garbageOf(t, ctx, s, garbage.KindPassages, farFuture); len(got) > 0 {
		t.Errorf("collected: still listed %+v", got)
	}
}

// An attempt that failed has paid for its passages. Nothing places them until
// the next attempt does, which must find them; nor does anything for a day, in
// which the task may be retried.
func keepsPassagesThatMayBePlacedAgain(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "c")
	job := acceptUpload(t, ctx, s, uploadOf(c, "a")).Job
	paid := passageOf("paid for", 1, 0, 0)
	work := claimTask(t, ctx, s, job, task.KindKnowledge)
	writeBatch(t, ctx, s, work, batchOf(0, paid), document.KnowledgeProgress{Passages: 1})
	recordOutcome(t, ctx, s, work, task.Outcome{Verdict: task.VerdictRetry, Error: "hiccup"})
	work = claimTask(t, ctx, s, job, task.KindKnowledge) // which takes the places away
	entries := garbageOf(t, ctx, s, garbage.KindPassages, farFuture)
	if len(entries) != 1 || entries[0].DocumentID != job.DocumentID || entries[0].Version != job.Version {
		t.Fatalf("listed %+v, want the passages of the attempt", entries)
	}
	_, err := s.CollectGarbage(ctx, entries[0], farFuture, 10)
	wantFault(t, err, fault.Conflict)
	wantKnown(t, ctx, s, c.ActiveSpace, hashesOf(paid), paid)

	recordOutcome(t, ctx, s, work, task.Outcome{Verdict: task.VerdictFail, Error: "broken"})
	if got := garbageOf(t, ctx, s, garbage.KindPassages, garbage.PassageRetention-time.Minute); len(got) > 0 {
		t.Errorf("within a day: listed %+v", got)
	}
	collectPassages(t, ctx, s)
	wantKnown(t, ctx, s, c.ActiveSpace, hashesOf(paid))
}

// What failed has paid for its passages too, and is superseded before long: the
// next version finds them for a day.
func keepsPassagesThatAnAttemptPaidFor(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "c")
	first := acceptUpload(t, ctx, s, uploadOf(c, "a"))
	shared, own := passageOf("shared", 1, 0, 0), passageOf("own", 1, 0, 0)
	work := claimTask(t, ctx, s, first.Job, task.KindKnowledge)
	writeBatch(t, ctx, s, work, batchOf(0, shared, own), document.KnowledgeProgress{Passages: 2})
	recordOutcome(t, ctx, s, work, task.Outcome{Verdict: task.VerdictFail, Error: "broken"})

	// Another document's attempt has paid for one of them as well, and will be
	// made again; it comes and goes elsewhere meanwhile.
	other := acceptUpload(t, ctx, s, uploadOf(c, "b")).Job
	work = claimTask(t, ctx, s, other, task.KindKnowledge)
	writeBatch(t, ctx, s, work, batchOf(0, shared), document.KnowledgeProgress{Passages: 1})
	recordOutcome(t, ctx, s, work, task.Outcome{Verdict: task.VerdictRetry, Error: "hiccup"})
	work = claimTask(t, ctx, s, other, task.KindKnowledge)

	if err := s.DeleteDocument(ctx, first.Document.ID); err != nil {
		t.Fatal(err)
	}
	collectVersions(t, ctx, s)
	if got := garbageOf(t, ctx, s, garbage.KindPassages, garbage.PassageRetention-time.Minute); len(got) > 0 {
		t.Errorf("within a day: listed %+v", got)
	}
	collectPassages(t, ctx, s)
	wantKnown(t, ctx, s, c.ActiveSpace, hashesOf(shared, own), shared)
	recordOutcome(t, ctx, s, work, task.Outcome{Verdict: task.VerdictFail, Error: "broken"})
	collectPassages(t, ctx, s)
	wantKnown(t, ctx, s, c.ActiveSpace, hashesOf(shared, own))
}

// What Known copies from another space stands nowhere until it is placed.
func collectsCopiesThatWereNotPlaced(t *testing.T, ctx context.Context, s Store) {
	c, other := ensureCollection(t, ctx, s, "c"), ensureCollection(t, ctx, s, "other")
	placed, unplaced := passageOf("placed", 1, 0, 0), passageOf("unplaced", 1, 0, 0)
	source := publishDocument(t, ctx, s, uploadOf(other, "source"), placed, unplaced)
	job := acceptUpload(t, ctx, s, uploadOf(c, "a")).Job
	wantKnown(t, ctx, s, c.ActiveSpace, hashesOf(placed, unplaced), placed, unplaced)
	publishJob(t, ctx, s, job, placed)
	collectPassages(t, ctx, s)
	if err := s.DeleteDocument(ctx, source.Document.ID); err != nil {
		t.Fatal(err)
	}
	collectVersions(t, ctx, s)
	collectPassages(t, ctx, s)
	wantKnown(t, ctx, s, c.ActiveSpace, hashesOf(placed, unplaced), placed)
}

// Either the passage is there when its place is written, or the writer is told
// that it is not.
func keepsPassagesThatAreBeingPlaced(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "c")
	shared := passageOf("shared", 1, 0, 0)
	for i := range 10 {
		gone := publishDocument(t, ctx, s, uploadOf(c, fmt.Sprint("gone ", i)), shared)
		job := acceptUpload(t, ctx, s, uploadOf(c, fmt.Sprint("new ", i))).Job
		work := claimTask(t, ctx, s, job, task.KindKnowledge)
		if err := s.DeleteDocument(ctx, gone.Document.ID); err != nil {
			t.Fatal(err)
		}
		collectVersions(t, ctx, s)
		entries := garbageOf(t, ctx, s, garbage.KindPassages, farFuture)
		batch := batchOf(0, shared)
		batch.New = nil // as when it was known a moment ago
		progress := document.KnowledgeProgress{Passages: 1, Reused: 1}

		var group sync.WaitGroup
		group.Go(func() {
			for _, g := range entries {
				if _, err := s.CollectGarbage(ctx, g, farFuture, 10); err != nil {
					t.Error(err)
				}
			}
		})
		err := s.WriteBatch(ctx, work, batch, progress)
		group.Wait()
		if fault.Is(err, fault.Conflict) {
			err = s.WriteBatch(ctx, work, batchOf(0, shared), progress)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Publish(ctx, work, nil, progress); err != nil {
			t.Fatal(err)
		}
		if got := listPassages(t, ctx, s, job.DocumentID, 10); len(got) != 1 {
			t.Fatalf("got passages %v, want 1", got)
		}
		if err := s.DeleteDocument(ctx, job.DocumentID); err != nil {
			t.Fatal(err)
		}
	}
}
