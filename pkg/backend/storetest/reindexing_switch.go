package storetest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
)

func switchesReaders(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "switch")
	publishTexts(t, ctx, s, c, "a", "one", "two")
	work := startReindex(t, ctx, s, anotherModel(c))
	fill(t, ctx, s, work)
	if err := s.SetStage(ctx, work, document.StageVerify, document.ReindexProgress{Documents: 7}); err != nil {
		t.Fatal(err)
	}
	if got := readReindex(t, ctx, s, work.Job); got.Stage != document.StageVerify || got.Progress.Documents != 7 {
		t.Errorf("stage and progress: got %+v", got)
	}

	next := c
	next.Space = work.Space
	_, err := searchAll(ctx, s, next)
	wantFault(t, err, fault.Conflict)
	wantFound(t, ctx, s, "before", c, "one", "two")
	progress := document.ReindexProgress{Documents: 1, DocumentsDone: 1, Passages: 2, Embedded: 2, Seconds: 1.5}
	if err := s.Switch(ctx, work, leaseTime, progress); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(next.Space, live(t, ctx, s, c).Space); diff != "" {
		t.Errorf("collection (-want +got):\n%s", diff)
	}
	_, err = searchAll(ctx, s, c)
	wantFault(t, err, fault.Conflict)
	wantFound(t, ctx, s, "after", c, "one", "two")
	wantAlso(t, ctx, s, "after", c, c.Space)

	r := readReindex(t, ctx, s, work.Job)
	if r.State != document.Succeeded || r.Stage != document.StageDone || !cmp.Equal(r.Progress, progress) || r.Error != "" || r.FinishedAt == nil {
		t.Errorf("reindex: got %+v, want it succeeded, with its progress", r)
	}
	if until := r.RevertibleUntil; until == nil || until.Sub(*r.FinishedAt).Round(time.Minute) != leaseTime {
		t.Errorf("finished at %v: revertible until %v, want an hour later", r.FinishedAt, until)
	}
	wantStale(t, ctx, s, "switched", work)
	_, err = s.Claim(ctx, work.TaskRef, leaseTime)
	wantFault(t, err, fault.NotFound)
}

// A version that is live and not in the new space would be lost to readers.
func switchesToNothingIncomplete(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "switch early")
	publishTexts(t, ctx, s, c, "a", "one")
	work := startReindex(t, ctx, s, anotherModel(c))
	refused := func(when string, want ...string) {
		t.Helper()
		before := readReindex(t, ctx, s, work.Job)
		if err := s.Switch(ctx, work, leaseTime, document.ReindexProgress{Documents: 99}); !fault.Is(err, fault.Conflict) {
			t.Errorf("%s: got error %v, want one of kind conflict", when, err)
		}
		if diff := cmp.Diff(before, readReindex(t, ctx, s, work.Job)); diff != "" {
			t.Errorf("%s: reindex (-before +after):\n%s", when, diff)
		}
		wantFound(t, ctx, s, when, c, want...)
		if err := s.Renew(ctx, work, leaseTime); err != nil {
			t.Errorf("%s: %v", when, err)
		}
		wantAlso(t, ctx, s, when, c, work.Space)
	}
	refused("nothing is placed", "one")
	fill(t, ctx, s, work)
	if err := s.Verify(ctx, work, 10); err != nil {
		t.Fatal(err)
	}
	b := publishTexts(t, ctx, s, c, "b", "two")
	refused("one was published since", "one", "two")
	part := wholeOf(b, passagesIn(work.Space, "two")...)
	part.Places[0].Whole = -1
	place(t, ctx, s, work, part)
	refused("it is placed in part", "one", "two")
	fill(t, ctx, s, work)
	publishTexts(t, ctx, s, c, "a", "one again")
	refused("a newer version was published since", "one again", "two")

	fill(t, ctx, s, work)
	pending := accept(t, ctx, s, uploadOf(c, "c")).Job // is no obstacle
	finish(t, ctx, s, work, leaseTime)
	wantFound(t, ctx, s, "switched", c, "one again", "two")
	publishEverywhere(t, ctx, s, pending, "three")
	wantFound(t, ctx, s, "and published", c, "one again", "three", "two")
}

func switchesToAnotherChunking(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "switch chunking")
	a := publishTexts(t, ctx, s, c, "a", "cut one", "cut two", "cut three")
	work := startReindex(t, ctx, s, document.ReindexRequest{Collection: c.Name, Tokens: 800})
	// Of the same model: what is cut the same needs no new vector.
	wantKnown(t, ctx, s, work.Space, hashesOf(passagesIn(c.Space, "cut one two", "cut three")...), passagesIn(c.Space, "cut three")...)
	rebuilt := wholeOf(a, passagesIn(work.Space, "cut one two", "cut three")...)
	rebuilt.New = rebuilt.New[:1]
	place(t, ctx, s, work, rebuilt)
	wantFound(t, ctx, s, "before", c, "cut one", "cut three", "cut two")
	if got := listPassages(t, ctx, s, a.Document, 10); len(got) != 3 {
		t.Errorf("before: got passages %+v, want the old 3", got)
	}
	r := finish(t, ctx, s, work, leaseTime)
	wantFound(t, ctx, s, "after", c, "cut one two", "cut three")
	if got := listPassages(t, ctx, s, a.Document, 1); len(got) != 2 || got[0].Content != "cut one two" || got[1].Content != "cut three" {
		t.Errorf("after: got passages %+v, want the new 2", got)
	}
	if d := readDocument(t, ctx, s, a.Document); d.Version != 1 || d.State != document.Ready {
		t.Errorf("document: got %+v, want version 1 still", d)
	}
	revertReindex(t, ctx, s, r.ID, leaseTime)
	wantFound(t, ctx, s, "reverted", c, "cut one", "cut three", "cut two")
}

// The pages of a list are of one space.
func listsPassagesOfOneSpace(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "passages of one space")
	a := publishTexts(t, ctx, s, c, "a", "one", "two")
	list, err := s.Passages(ctx, a.Document, document.Page{Limit: 1})
	if err != nil || list.NextCursor == "" {
		t.Fatalf("got %+v, %v, want a page with a cursor", list, err)
	}
	change(t, ctx, s, document.ReindexRequest{Collection: c.Name, Tokens: 800}, leaseTime)
	_, err = s.Passages(ctx, a.Document, document.Page{Limit: 1, Cursor: list.NextCursor})
	wantFault(t, err, fault.Conflict)
	if got := listPassages(t, ctx, s, a.Document, 1); len(got) != 2 {
		t.Errorf("from the start: got %+v, want 2 passages", got)
	}
}

func switchesAnEmptyCollection(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "switch nothing")
	r := change(t, ctx, s, anotherModel(c), leaseTime)
	if got := live(t, ctx, s, c).Space.Model; got != anotherModel(c).Model {
		t.Errorf("live model: got %+v", got)
	}
	wantFound(t, ctx, s, "empty", c)
	revertReindex(t, ctx, s, r.ID, leaseTime)
}

// Who asks for the collection to upload to it is told what is live, whatever
// they would have it made with.
func readsTheCollectionOfTheLiveSpace(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "collections rebuilt")
	change(t, ctx, s, anotherModel(c), leaseTime)
	if diff := cmp.Diff(live(t, ctx, s, c), ensure(t, ctx, s, c.Name)); diff != "" {
		t.Errorf("collection (-read +ensured):\n%s", diff)
	}
}

// Readers never see nothing, nor some of both.
func showsOneSpaceOrTheOther(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "switch and read")
	a := publishTexts(t, ctx, s, c, "a", "old one", "old two")
	b := publishTexts(t, ctx, s, c, "b", "old three")
	work := startReindex(t, ctx, s, document.ReindexRequest{Collection: c.Name, Tokens: 800})
	place(t, ctx, s, work, wholeOf(a, passagesIn(work.Space, "new one")...))
	place(t, ctx, s, work, wholeOf(b, passagesIn(work.Space, "new three", "new two")...))

	hits := map[string]bool{"[old one old three old two]": true, "[new one new three new two]": true}
	passages := map[string]bool{"[old one old two]": true, "[new one]": true}
	switched := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for last := false; ; {
				select {
				case <-switched:
					last = true
				default:
				}
				now, err := s.Collection(ctx, c.Name)
				if err != nil {
					t.Error(err)
					return
				}
				if got, err := searchAll(ctx, s, now); !fault.Is(err, fault.Conflict) && (err != nil || !hits[fmt.Sprint(got)]) {
					t.Errorf("a search found %q, %v", got, err)
				}
				list, err := s.Passages(ctx, a.Document, document.Page{Limit: 10})
				texts := []string{}
				for _, p := range list.Items {
					texts = append(texts, p.Content)
				}
				if err != nil || !passages[fmt.Sprint(texts)] {
					t.Errorf("read the passages %q, %v", texts, err)
				}
				if last || t.Failed() {
					return
				}
			}
		})
	}
	r := finish(t, ctx, s, work, leaseTime)
	revertReindex(t, ctx, s, r.ID, leaseTime) // and back again
	finish(t, ctx, s, startReindex(t, ctx, s, document.ReindexRequest{Collection: c.Name, Tokens: 800}), leaseTime)
	close(switched)
	readers.Wait()
	wantFound(t, ctx, s, "afterwards", c, "new one", "new three", "new two")
}

// Either the version is in the space that is switched to, or one of the two is
// told to try again.
func losesNothingThatIsPublishedMeanwhile(t *testing.T, ctx context.Context, s Store) {
	for i := range 10 {
		c := ensure(t, ctx, s, fmt.Sprint("switch and publish ", i))
		publishTexts(t, ctx, s, c, "a", "one")
		reindex := startReindex(t, ctx, s, anotherModel(c))
		fill(t, ctx, s, reindex)
		upload := begin(t, ctx, s, c, "b")
		progress := document.KnowledgeProgress{Passages: 1}
		var placed []document.Placement
		write(t, ctx, s, upload, batchOf(0, passagesIn(c.Space, "two")...), progress)
		if i%2 == 0 {
			placed = []document.Placement{{Space: reindex.Space.ID, Passages: 1}}
			write(t, ctx, s, in(reindex.Space, upload), batchOf(0, passagesIn(reindex.Space, "two")...), progress)
		}
		var switched, published error
		together(t, 2, func(n int) error {
			if n == 0 {
				switched = s.Switch(ctx, reindex, leaseTime, document.ReindexProgress{})
			} else {
				published = s.Publish(ctx, upload, placed, progress)
			}
			return nil
		})
		switch {
		case switched == nil && published == nil && placed != nil:
			wantFound(t, ctx, s, "both are done", c, "one", "two")
		case switched == nil && fault.Is(published, fault.Unavailable) && placed == nil:
			wantFound(t, ctx, s, "switched", c, "one")
		case published == nil && fault.Is(switched, fault.Conflict) && placed == nil:
			wantFound(t, ctx, s, "published", c, "one", "two")
			fill(t, ctx, s, reindex)
			finish(t, ctx, s, reindex, leaseTime)
			wantFound(t, ctx, s, "published and switched", c, "one", "two")
		default:
			t.Errorf("published in %+v: switch: %v; publish: %v", placed, switched, published)
		}
	}
}
