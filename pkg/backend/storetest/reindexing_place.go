package storetest

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
)

func placesVersions(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "place")
	a := publishTexts(t, ctx, s, c, "a", "one", "two", "one")
	b := publishTexts(t, ctx, s, c, "b", "two", "three")
	empty := publishTexts(t, ctx, s, c, "c")
	work := startReindex(t, ctx, s, anotherModel(c))
	wantKnown(t, ctx, s, work.Space, hashesOf(passagesIn(work.Space, "one", "two")...))

	// Both share a passage, which is new once.
	rebuilt := wholeOf(a, passagesIn(work.Space, "one", "two", "one")...)
	second := wholeOf(b, passagesIn(work.Space, "two", "three")...)
	rebuilt.New = append(rebuilt.New[:2], second.New[1])
	rebuilt.Places = append(rebuilt.Places, second.Places...)
	rebuilt.Reached = b.Document
	place(t, ctx, s, work, rebuilt)
	wantUnplaced(t, ctx, s, "two of three are placed", work, empty)
	place(t, ctx, s, work, wholeOf(empty))
	wantUnplaced(t, ctx, s, "all are placed", work)
	wantStored(t, ctx, s, "the first", work.Space, a, "one", "two", "one")
	wantStored(t, ctx, s, "the second", work.Space, b, "two", "three")
	wantStored(t, ctx, s, "of before", c.Space, b, "two", "three")
	wantKnown(t, ctx, s, work.Space, hashesOf(passagesIn(work.Space, "one", "two", "three", "four")...), passagesIn(work.Space, "one", "two", "three")...)
	if got := rebuildOf(t, ctx, s, work).Reached; got != empty.Document {
		t.Errorf("reached %s, want %s", got, empty.Document)
	}

	// What is there stays as it is.
	other := passagesIn(work.Space, "one", "two", "one")
	other[0].Vector = []float32{-1, 0}
	place(t, ctx, s, work, wholeOf(a, other...))
	finish(t, ctx, s, work, leaseTime)
	hits := nearestTo(t, ctx, s, live(t, ctx, s, c), 1, 0)
	if len(hits) != 3 || hits[0].Content != "one" || hits[0].Score < 0.999 || hits[0].DocumentID != a.Document || len(hits[0].AlsoIn) != 1 {
		t.Errorf("got %+v, want the three passages with their first vectors", hits)
	}
}

func placesInParts(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "place parts")
	a := publishTexts(t, ctx, s, c, "a", "one", "two", "three", "four")
	work := startReindex(t, ctx, s, anotherModel(c))
	whole := wholeOf(a, passagesIn(work.Space, "one", "two", "three", "four")...)
	part := func(from, to int, all int64, reached uuid.UUID) document.Rebuilt {
		return document.Rebuilt{New: whole.New[from:to], Reached: reached,
			Places: []document.RebuiltPlaces{{Unplaced: a, Places: whole.Places[0].Places[from:to], Whole: all}}}
	}
	place(t, ctx, s, work, part(0, 2, -1, uuid.Nil))
	wantUnplaced(t, ctx, s, "a first part", work, a)
	wantFault(t, s.Verify(ctx, work, 10), fault.Conflict)
	place(t, ctx, s, work, part(2, 3, -1, uuid.Nil))
	wantUnplaced(t, ctx, s, "a second part", work, a)
	if got := rebuildOf(t, ctx, s, work).Reached; got != uuid.Nil {
		t.Errorf("reached %s before a document was whole", got)
	}
	place(t, ctx, s, work, part(3, 4, 4, a.Document))
	wantUnplaced(t, ctx, s, "the last part", work)
	wantStored(t, ctx, s, "the last part", work.Space, a, "one", "two", "three", "four")
	finish(t, ctx, s, work, leaseTime)
}

// An attempt that was cut short has left places behind, of a chunking that may
// have been another.
func placesFromTheStart(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "place again")
	a := publishTexts(t, ctx, s, c, "a", "one", "two", "three")
	work := startReindex(t, ctx, s, document.ReindexRequest{Collection: c.Name, Tokens: 10})
	part := wholeOf(a, passagesIn(work.Space, "one", "two", "three")...)
	part.Places[0].Whole, part.Reached = -1, uuid.Nil
	place(t, ctx, s, work, part)
	settle(t, ctx, s, work, document.Outcome{Verdict: document.VerdictRetry, Error: "hiccup"})

	work = claimReindex(t, ctx, s, work.Job)
	place(t, ctx, s, work, wholeOf(a, passagesIn(work.Space, "one two", "three")...))
	wantStored(t, ctx, s, "placed again", work.Space, a, "one two", "three")
	place(t, ctx, s, work, wholeOf(a, passagesIn(work.Space, "one two three")...)) // whole already
	wantStored(t, ctx, s, "and again", work.Space, a, "one two three")
	finish(t, ctx, s, work, leaseTime)
	wantFound(t, ctx, s, "switched", c, "one two three")
}

// What was bought is stored even when it is not known yet where it stands.
func placesNothingButPassages(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "place bought")
	a := publishTexts(t, ctx, s, c, "a", "one", "two")
	work := startReindex(t, ctx, s, anotherModel(c))
	bought := passagesIn(work.Space, "two")
	place(t, ctx, s, work, document.Rebuilt{New: bought})
	place(t, ctx, s, work, document.Rebuilt{}) // progress only
	wantKnown(t, ctx, s, work.Space, hashesOf(passagesIn(work.Space, "one", "two")...), bought...)
	wantUnplaced(t, ctx, s, "bought", work, a)
	rebuilt := wholeOf(a, passagesIn(work.Space, "one", "two")...)
	rebuilt.New = rebuilt.New[:1]
	place(t, ctx, s, work, rebuilt)
	finish(t, ctx, s, work, leaseTime)
}

func placesNothingWithoutItsPassages(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "place missing")
	a := publishTexts(t, ctx, s, c, "a", "one", "two")
	b := publishTexts(t, ctx, s, c, "b", "three")
	work := startReindex(t, ctx, s, anotherModel(c))
	before := readReindex(t, ctx, s, work.Job)

	rebuilt := wholeOf(a, passagesIn(work.Space, "one", "two")...)
	other := wholeOf(b, passagesIn(work.Space, "three")...)
	rebuilt.New = append(rebuilt.New[:1], other.New...)
	rebuilt.Places = append(other.Places, rebuilt.Places...)
	wantFault(t, s.Place(ctx, work, rebuilt, document.ReindexProgress{DocumentsDone: 2}), fault.Conflict)
	wantKnown(t, ctx, s, work.Space, hashesOf(passagesIn(work.Space, "one", "three")...))
	wantUnplaced(t, ctx, s, "nothing is placed", work, a, b)
	wantStored(t, ctx, s, "nothing is placed", work.Space, b)
	if diff := cmp.Diff(before, readReindex(t, ctx, s, work.Job)); diff != "" {
		t.Errorf("reindex (-before +after):\n%s", diff)
	}
	if got := rebuildOf(t, ctx, s, work).Reached; got != uuid.Nil {
		t.Errorf("reached %s", got)
	}

	wrong := wholeOf(b, passageOf("three", 1, 0, 0))
	if err := s.Place(ctx, work, wrong, document.ReindexProgress{}); err == nil {
		t.Error("a vector of 3 dimensions was placed among those of 2")
	}
	fill(t, ctx, s, work) // the work is still ours
	finish(t, ctx, s, work, leaseTime)
}

// A wrong count is refused at once, or when all is verified.
func placesNothingThatIsNotWhole(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "place too few")
	a := publishTexts(t, ctx, s, c, "a", "one", "two")
	work := startReindex(t, ctx, s, anotherModel(c))
	rebuilt := wholeOf(a, passagesIn(work.Space, "one")...)
	rebuilt.Places[0].Whole = 2
	if err := s.Place(ctx, work, rebuilt, document.ReindexProgress{}); err == nil {
		wantFault(t, s.Verify(ctx, work, 10), fault.Conflict)
	}
	wantUnplaced(t, ctx, s, "one of two places is there", work, a)
	fill(t, ctx, s, work)
	finish(t, ctx, s, work, leaseTime)
	wantFound(t, ctx, s, "switched", c, "one", "two")
}

func placesNoOlderVersion(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "place superseded")
	a := publishTexts(t, ctx, s, c, "a", "one")
	b := publishTexts(t, ctx, s, c, "b", "two")
	work := startReindex(t, ctx, s, anotherModel(c))
	newer := publishTexts(t, ctx, s, c, "a", "one again")

	rebuilt := wholeOf(a, passagesIn(work.Space, "one")...)
	other := wholeOf(b, passagesIn(work.Space, "two")...)
	rebuilt.New = append(rebuilt.New, other.New...)
	rebuilt.Places = append(rebuilt.Places, other.Places...)
	place(t, ctx, s, work, rebuilt)
	wantUnplaced(t, ctx, s, "the other is placed", work, newer)
	wantStored(t, ctx, s, "superseded", work.Space, a)
	wantStored(t, ctx, s, "the other", work.Space, b, "two")
	wantKnown(t, ctx, s, work.Space, hashesOf(passagesIn(work.Space, "one")...), passagesIn(work.Space, "one")...)
	collectVersion(t, ctx, s, a.Document, a.Version)
	place(t, ctx, s, work, rebuilt) // of a version that is forgotten by now
	wantStored(t, ctx, s, "forgotten", work.Space, a)
	fill(t, ctx, s, work)
	finish(t, ctx, s, work, leaseTime)
	wantFound(t, ctx, s, "switched", c, "one again", "two")
}

func placesNothingDeleted(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "place deleted")
	a := publishTexts(t, ctx, s, c, "a", "one")
	b := publishTexts(t, ctx, s, c, "b", "two")
	work := startReindex(t, ctx, s, anotherModel(c))
	place(t, ctx, s, work, wholeOf(b, passagesIn(work.Space, "two")...))
	for _, of := range []document.Unplaced{a, b} {
		if err := s.DeleteDocument(ctx, of.Document); err != nil {
			t.Fatal(err)
		}
	}
	for _, when := range []string{"deleted", "forgotten"} {
		place(t, ctx, s, work, wholeOf(a, passagesIn(work.Space, "one")...))
		wantStored(t, ctx, s, when, work.Space, a)
		wantUnplaced(t, ctx, s, when, work)
		for _, of := range []document.Unplaced{a, b} {
			collectVersion(t, ctx, s, of.Document, of.Version)
		}
	}
	wantStored(t, ctx, s, "forgotten once it was placed", work.Space, b)
	finish(t, ctx, s, work, leaseTime)
	wantFound(t, ctx, s, "switched", c)
}

// While versions are placed, newer ones are published and documents go. None
// waits for another in a circle, and in the end what is live is placed.
func placesWhileDocumentsChange(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "place at once")
	const n = 8
	var of []document.Unplaced
	for i := range n {
		of = append(of, publishTexts(t, ctx, s, c, fmt.Sprint(i), "shared", fmt.Sprint("first ", i)))
	}
	work := startReindex(t, ctx, s, anotherModel(c))
	works := make([]document.Work, n/2)
	for i := range works {
		job := accept(t, ctx, s, uploadOf(c, fmt.Sprint(i))).Job
		works[i] = claim(t, ctx, s, job, document.Knowledge)
	}
	together(t, 2*n, func(i int) error {
		switch at := i / 2; {
		case i%2 == 0: // places the first version
			passages := passagesIn(work.Space, "shared", fmt.Sprint("first ", at))
			return s.Place(ctx, work, wholeOf(of[at], passages...), document.ReindexProgress{})
		case at < n/2: // publishes a second one
			for _, space := range []document.Space{works[at].Space, work.Space} {
				if _, err := writeIn(ctx, s, space, works[at], "shared", fmt.Sprint("second ", at)); err != nil {
					return err
				}
			}
			return s.Publish(ctx, works[at], []document.Placement{{Space: work.Space.ID, Passages: 2}}, document.KnowledgeProgress{Passages: 2})
		default:
			if err := s.DeleteDocument(ctx, of[at].Document); err != nil {
				return err
			}
			all, err := s.Garbage(ctx, later, 100)
			for _, g := range all {
				if err == nil && g.Kind == document.GarbageVersion && g.Document == of[at].Document {
					_, err = s.Collect(ctx, g, later, 100)
				}
			}
			return err
		}
	})
	wantUnplaced(t, ctx, s, "afterwards", work)
	for _, gone := range of[n/2:] {
		wantStored(t, ctx, s, "deleted", work.Space, gone)
	}
	finish(t, ctx, s, work, leaseTime)
	wantFound(t, ctx, s, "switched", c, "second 0", "second 1", "second 2", "second 3", "shared")
}
