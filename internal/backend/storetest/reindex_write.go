package storetest

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/garbage"
	"github.com/seed-7a112592/gristmill/internal/rebuild"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

func writesVersionsToASpace(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "place")
	a := publishTexts(t, ctx, s, c, "a", "one", "two", "one")
	b := publishTexts(t, ctx, s, c, "b", "two", "three")
	empty := publishTexts(t, ctx, s, c, "c")
	work := startReindex(t, ctx, s, changeModelRequest(c))
	wantKnown(t, ctx, s, work.Space, hashesOf(passagesIn(work.Space, "one", "two")...))

	// Both share a passage, which is new once.
	rebuilt := spaceWriteOf(a, passagesIn(work.Space, "one", "two", "one")...)
	second := spaceWriteOf(b, passagesIn(work.Space, "two", "three")...)
	rebuilt.New = append(rebuilt.New[:2], second.New[1])
	rebuilt.Versions = append(rebuilt.Versions, second.Versions...)
	rebuilt.Checkpoint = b.DocumentID
	writeToSpace(t, ctx, s, work, rebuilt)
	wantMissing(t, ctx, s, "two of three are placed", work, empty)
	writeToSpace(t, ctx, s, work, spaceWriteOf(empty))
	wantMissing(t, ctx, s, "all are placed", work)
	wantVersionTexts(t, ctx, s, "the first", work.Space, a, "one", "two", "one")
	wantVersionTexts(t, ctx, s, "the second", work.Space, b, "two", "three")
	wantVersionTexts(t, ctx, s, "of before", c.ActiveSpace, b, "two", "three")
	wantKnown(t, ctx, s, work.Space, hashesOf(passagesIn(work.Space, "one", "two", "three", "four")...), passagesIn(work.Space, "one", "two", "three")...)
	if got := planRebuild(t, ctx, s, work).Checkpoint; got != empty.DocumentID {
		t.Errorf("reached %s, want %s", got, empty.DocumentID)
	}

	// What is there stays as it is.
	other := passagesIn(work.Space, "one", "two", "one")
	other[0].Vector = []float32{-1, 0}
	writeToSpace(t, ctx, s, work, spaceWriteOf(a, other...))
	activateSpace(t, ctx, s, work, leaseTime)
	hits := nearestTo(t, ctx, s, readCollection(t, ctx, s, c), 1, 0)
	if len(hits) != 3 || hits[0].Content != "one" || hits[0].Score < 0.999 || hits[0].DocumentID != a.DocumentID || len(hits[0].AlsoIn) != 1 {
		t.Errorf("got %+v, want the three passages with their first vectors", hits)
	}
}

func writesInParts(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "place parts")
	a := publishTexts(t, ctx, s, c, "a", "one", "two", "three", "four")
	work := startReindex(t, ctx, s, changeModelRequest(c))
	whole := spaceWriteOf(a, passagesIn(work.Space, "one", "two", "three", "four")...)
	part := func(from, to int, all int64, reached uuid.UUID) rebuild.SpaceWrite {
		return rebuild.SpaceWrite{New: whole.New[from:to], Checkpoint: reached,
			Versions: []rebuild.VersionWrite{{MissingVersion: a, Entries: whole.Versions[0].Entries[from:to], TotalEntries: all}}}
	}
	writeToSpace(t, ctx, s, work, part(0, 2, -1, uuid.Nil))
	wantMissing(t, ctx, s, "a first part", work, a)
	wantFault(t, s.VerifySpace(ctx, work, 10), fault.Conflict)
	writeToSpace(t, ctx, s, work, part(2, 3, -1, uuid.Nil))
	wantMissing(t, ctx, s, "a second part", work, a)
	if got := planRebuild(t, ctx, s, work).Checkpoint; got != uuid.Nil {
		t.Errorf("reached %s before a document was whole", got)
	}
	writeToSpace(t, ctx, s, work, part(3, 4, 4, a.DocumentID))
	wantMissing(t, ctx, s, "the last part", work)
	wantVersionTexts(t, ctx, s, "the last part", work.Space, a, "one", "two", "three", "four")
	activateSpace(t, ctx, s, work, leaseTime)
}

// An attempt that was cut short has left places behind, of a chunking that may
// have been another.
func replacesFromTheFirstEntry(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "place again")
	a := publishTexts(t, ctx, s, c, "a", "one", "two", "three")
	work := startReindex(t, ctx, s, document.ReindexRequest{Collection: c.Name, Tokens: 10})
	part := spaceWriteOf(a, passagesIn(work.Space, "one", "two", "three")...)
	part.Versions[0].TotalEntries, part.Checkpoint = -1, uuid.Nil
	writeToSpace(t, ctx, s, work, part)
	recordOutcome(t, ctx, s, work, task.Outcome{Verdict: task.VerdictRetry, Error: "hiccup"})

	work = claimReindex(t, ctx, s, work.JobID)
	writeToSpace(t, ctx, s, work, spaceWriteOf(a, passagesIn(work.Space, "one two", "three")...))
	wantVersionTexts(t, ctx, s, "placed again", work.Space, a, "one two", "three")
	writeToSpace(t, ctx, s, work, spaceWriteOf(a, passagesIn(work.Space, "one two three")...)) // whole already
	wantVersionTexts(t, ctx, s, "and again", work.Space, a, "one two three")
	activateSpace(t, ctx, s, work, leaseTime)
	wantHits(t, ctx, s, "switched", c, "one two three")
}

// What was bought is stored even when it is not known yet where it stands.
func writesPassagesAlone(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "place bought")
	a := publishTexts(t, ctx, s, c, "a", "one", "two")
	work := startReindex(t, ctx, s, changeModelRequest(c))
	bought := passagesIn(work.Space, "two")
	writeToSpace(t, ctx, s, work, rebuild.SpaceWrite{New: bought})
	writeToSpace(t, ctx, s, work, rebuild.SpaceWrite{}) // progress only
	wantKnown(t, ctx, s, work.Space, hashesOf(passagesIn(work.Space, "one", "two")...), bought...)
	wantMissing(t, ctx, s, "bought", work, a)
	rebuilt := spaceWriteOf(a, passagesIn(work.Space, "one", "two")...)
	rebuilt.New = rebuilt.New[:1]
	writeToSpace(t, ctx, s, work, rebuilt)
	activateSpace(t, ctx, s, work, leaseTime)
}

func writesNothingToASpaceWithoutItsPassages(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "place missing")
	a := publishTexts(t, ctx, s, c, "a", "one", "two")
	b := publishTexts(t, ctx, s, c, "b", "three")
	work := startReindex(t, ctx, s, changeModelRequest(c))
	before := readReindex(t, ctx, s, work.JobID)

	rebuilt := spaceWriteOf(a, passagesIn(work.Space, "one", "two")...)
	other := spaceWriteOf(b, passagesIn(work.Space, "three")...)
	rebuilt.New = append(rebuilt.New[:1], other.New...)
	rebuilt.Versions = append(other.Versions, rebuilt.Versions...)
	wantFault(t, s.WriteToSpace(ctx, work, rebuilt, document.ReindexProgress{DocumentsDone: 2}), fault.Conflict)
	wantKnown(t, ctx, s, work.Space, hashesOf(passagesIn(work.Space, "one", "three")...))
	wantMissing(t, ctx, s, "nothing is placed", work, a, b)
	wantVersionTexts(t, ctx, s, "nothing is placed", work.Space, b)
	if diff := cmp.Diff(before, readReindex(t, ctx, s, work.JobID)); diff != "" {
		t.Errorf("reindex (-before +after):\n%s", diff)
	}
	if got := planRebuild(t, ctx, s, work).Checkpoint; got != uuid.Nil {
		t.Errorf("reached %s", got)
	}

	wrong := spaceWriteOf(b, passageOf("three", 1, 0, 0))
	if err := s.WriteToSpace(ctx, work, wrong, document.ReindexProgress{}); err == nil {
		t.Error("a vector of 3 dimensions was placed among those of 2")
	}
	writeMissing(t, ctx, s, work) // the work is still ours
	activateSpace(t, ctx, s, work, leaseTime)
}

// A wrong count is refused at once, or when all is verified.
func writesNoIncompleteVersion(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "place too few")
	a := publishTexts(t, ctx, s, c, "a", "one", "two")
	work := startReindex(t, ctx, s, changeModelRequest(c))
	rebuilt := spaceWriteOf(a, passagesIn(work.Space, "one")...)
	rebuilt.Versions[0].TotalEntries = 2
	if err := s.WriteToSpace(ctx, work, rebuilt, document.ReindexProgress{}); err == nil {
		wantFault(t, s.VerifySpace(ctx, work, 10), fault.Conflict)
	}
	wantMissing(t, ctx, s, "one of two places is there", work, a)
	writeMissing(t, ctx, s, work)
	activateSpace(t, ctx, s, work, leaseTime)
	wantHits(t, ctx, s, "switched", c, "one", "two")
}

func writesNoOlderVersion(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "place superseded")
	a := publishTexts(t, ctx, s, c, "a", "one")
	b := publishTexts(t, ctx, s, c, "b", "two")
	work := startReindex(t, ctx, s, changeModelRequest(c))
	newer := publishTexts(t, ctx, s, c, "a", "one again")

	rebuilt := spaceWriteOf(a, passagesIn(work.Space, "one")...)
	other := spaceWriteOf(b, passagesIn(work.Space, "two")...)
	rebuilt.New = append(rebuilt.New, other.New...)
	rebuilt.Versions = append(rebuilt.Versions, other.Versions...)
	writeToSpace(t, ctx, s, work, rebuilt)
	wantMissing(t, ctx, s, "the other is placed", work, newer)
	wantVersionTexts(t, ctx, s, "superseded", work.Space, a)
	wantVersionTexts(t, ctx, s, "the other", work.Space, b, "two")
	wantKnown(t, ctx, s, work.Space, hashesOf(passagesIn(work.Space, "one")...), passagesIn(work.Space, "one")...)
	collectVersion(t, ctx, s, a.DocumentID, a.Version)
	writeToSpace(t, ctx, s, work, rebuilt) // of a version that is forgotten by now
	wantVersionTexts(t, ctx, s, "forgotten", work.Space, a)
	writeMissing(t, ctx, s, work)
	activateSpace(t, ctx, s, work, leaseTime)
	wantHits(t, ctx, s, "switched", c, "one again", "two")
}

func writesNothingDeleted(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "place deleted")
	a := publishTexts(t, ctx, s, c, "a", "one")
	b := publishTexts(t, ctx, s, c, "b", "two")
	work := startReindex(t, ctx, s, changeModelRequest(c))
	writeToSpace(t, ctx, s, work, spaceWriteOf(b, passagesIn(work.Space, "two")...))
	for _, of := range []rebuild.MissingVersion{a, b} {
		if err := s.DeleteDocument(ctx, of.DocumentID); err != nil {
			t.Fatal(err)
		}
	}
	for _, when := range []string{"deleted", "forgotten"} {
		writeToSpace(t, ctx, s, work, spaceWriteOf(a, passagesIn(work.Space, "one")...))
		wantVersionTexts(t, ctx, s, when, work.Space, a)
		wantMissing(t, ctx, s, when, work)
		for _, of := range []rebuild.MissingVersion{a, b} {
			collectVersion(t, ctx, s, of.DocumentID, of.Version)
		}
	}
	wantVersionTexts(t, ctx, s, "forgotten once it was placed", work.Space, b)
	activateSpace(t, ctx, s, work, leaseTime)
	wantHits(t, ctx, s, "switched", c)
}

// While versions are placed, newer ones are published and documents go. None
// waits for another in a circle, and in the end what is live is placed.
func writesToASpaceWhileDocumentsChange(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "place at once")
	const n = 8
	var of []rebuild.MissingVersion
	for i := range n {
		of = append(of, publishTexts(t, ctx, s, c, fmt.Sprint(i), "shared", fmt.Sprint("first ", i)))
	}
	work := startReindex(t, ctx, s, changeModelRequest(c))
	works := make([]task.Work, n/2)
	for i := range works {
		job := acceptUpload(t, ctx, s, uploadOf(c, fmt.Sprint(i))).Job
		works[i] = claimTask(t, ctx, s, job, task.KindKnowledge)
	}
	concurrently(t, 2*n, func(i int) error {
		switch at := i / 2; {
		case i%2 == 0: // places the first version
			passages := passagesIn(work.Space, "shared", fmt.Sprint("first ", at))
			return s.WriteToSpace(ctx, work, spaceWriteOf(of[at], passages...), document.ReindexProgress{})
		case at < n/2: // publishes a second one
			for _, space := range []vector.Space{works[at].Space, work.Space} {
				if _, err := writeInSpace(ctx, s, space, works[at], "shared", fmt.Sprint("second ", at)); err != nil {
					return err
				}
			}
			return s.Publish(ctx, works[at], []vector.SpaceVersion{{SpaceID: work.Space.ID, Passages: 2}}, document.KnowledgeProgress{Passages: 2})
		default:
			if err := s.DeleteDocument(ctx, of[at].DocumentID); err != nil {
				return err
			}
			all, err := s.Garbage(ctx, farFuture, 100)
			for _, g := range all {
				if err == nil && g.Kind == garbage.KindVersion && g.DocumentID == of[at].DocumentID {
					_, err = s.CollectGarbage(ctx, g, farFuture, 100)
				}
			}
			return err
		}
	})
	wantMissing(t, ctx, s, "afterwards", work)
	for _, gone := range of[n/2:] {
		wantVersionTexts(t, ctx, s, "deleted", work.Space, gone)
	}
	activateSpace(t, ctx, s, work, leaseTime)
	wantHits(t, ctx, s, "switched", c, "second 0", "second 1", "second 2", "second 3", "shared")
}
