package storetest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

func activatesForReaders(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "switch")
	publishTexts(t, ctx, s, c, "a", "one", "two")
	work := startReindex(t, ctx, s, changeModelRequest(c))
	writeMissing(t, ctx, s, work)
	if err := s.SetReindexStage(ctx, work, document.StageVerify, document.ReindexProgress{Documents: 7}); err != nil {
		t.Fatal(err)
	}
	if got := readReindex(t, ctx, s, work.JobID); got.Stage != document.StageVerify || got.Progress.Documents != 7 {
		t.Errorf("stage and progress: got %+v", got)
	}

	next := c
	next.ActiveSpace = work.Space
	_, err := searchAll(ctx, s, next)
	wantFault(t, err, fault.Conflict)
	wantHits(t, ctx, s, "before", c, "one", "two")
	progress := document.ReindexProgress{Documents: 1, DocumentsDone: 1, Passages: 2, Embedded: 2, Seconds: 1.5}
	if err := s.ActivateSpace(ctx, work, leaseTime, progress); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(next.ActiveSpace, readCollection(t, ctx, s, c).ActiveSpace); diff != "" {
		t.Errorf("collection (-want +got):\n%s", diff)
	}
	_, err = searchAll(ctx, s, c)
	wantFault(t, err, fault.Conflict)
	wantHits(t, ctx, s, "after", c, "one", "two")
	wantOtherSpaces(t, ctx, s, "after", c, c.ActiveSpace)

	r := readReindex(t, ctx, s, work.JobID)
	if r.State != document.JobSucceeded || r.Stage != document.StageDone || !cmp.Equal(r.Progress, progress) || r.Error != "" || r.FinishedAt == nil {
		t.Errorf("reindex: got %+v, want it succeeded, with its progress", r)
	}
	if until := r.RevertibleUntil; until == nil || until.Sub(*r.FinishedAt).Round(time.Minute) != leaseTime {
		t.Errorf("finished at %v: revertible until %v, want an hour later", r.FinishedAt, until)
	}
	wantLeaseLost(t, ctx, s, "switched", work)
	_, err = s.Claim(ctx, work.Ref, leaseTime)
	wantFault(t, err, fault.NotFound)
}

// A version that is live and not in the new space would be lost to readers.
func activatesNoIncompleteSpace(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "switch early")
	publishTexts(t, ctx, s, c, "a", "one")
	work := startReindex(t, ctx, s, changeModelRequest(c))
	refused := func(when string, want ...string) {
		t.Helper()
		before := readReindex(t, ctx, s, work.JobID)
		if err := s.ActivateSpace(ctx, work, leaseTime, document.ReindexProgress{Documents: 99}); !fault.Is(err, fault.Conflict) {
			t.Errorf("%s: got error %v, want one of kind conflict", when, err)
		}
		if diff := cmp.Diff(before, readReindex(t, ctx, s, work.JobID)); diff != "" {
			t.Errorf("%s: reindex (-before +after):\n%s", when, diff)
		}
		wantHits(t, ctx, s, when, c, want...)
		if err := s.RenewLease(ctx, work, leaseTime); err != nil {
			t.Errorf("%s: %v", when, err)
		}
		wantOtherSpaces(t, ctx, s, when, c, work.Space)
	}
	refused("nothing is placed", "one")
	writeMissing(t, ctx, s, work)
	if err := s.VerifySpace(ctx, work, 10); err != nil {
		t.Fatal(err)
	}
	b := publishTexts(t, ctx, s, c, "b", "two")
	refused("one was published since", "one", "two")
	part := spaceWriteOf(b, passagesIn(work.Space, "two")...)
	part.Versions[0].TotalEntries = -1
	writeToSpace(t, ctx, s, work, part)
	refused("it is placed in part", "one", "two")
	writeMissing(t, ctx, s, work)
	publishTexts(t, ctx, s, c, "a", "one again")
	refused("a newer version was published since", "one again", "two")

	writeMissing(t, ctx, s, work)
	pending := acceptUpload(t, ctx, s, uploadOf(c, "c")).Job // is no obstacle
	activateSpace(t, ctx, s, work, leaseTime)
	wantHits(t, ctx, s, "switched", c, "one again", "two")
	publishEverywhere(t, ctx, s, pending, "three")
	wantHits(t, ctx, s, "and published", c, "one again", "three", "two")
}

func activatesAnotherChunking(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "switch chunking")
	a := publishTexts(t, ctx, s, c, "a", "cut one", "cut two", "cut three")
	work := startReindex(t, ctx, s, document.ReindexRequest{Collection: c.Name, Tokens: 800})
	// Of the same model: what is cut the same needs no new vector.
	wantKnown(t, ctx, s, work.Space, hashesOf(passagesIn(c.ActiveSpace, "cut one two", "cut three")...), passagesIn(c.ActiveSpace, "cut three")...)
	rebuilt := spaceWriteOf(a, passagesIn(work.Space, "cut one two", "cut three")...)
	rebuilt.New = rebuilt.New[:1]
	writeToSpace(t, ctx, s, work, rebuilt)
	wantHits(t, ctx, s, "before", c, "cut one", "cut three", "cut two")
	if got := listPassages(t, ctx, s, a.DocumentID, 10); len(got) != 3 {
		t.Errorf("before: got passages %+v, want the old 3", got)
	}
	r := activateSpace(t, ctx, s, work, leaseTime)
	wantHits(t, ctx, s, "after", c, "cut one two", "cut three")
	if got := listPassages(t, ctx, s, a.DocumentID, 1); len(got) != 2 || got[0].Content != "cut one two" || got[1].Content != "cut three" {
		t.Errorf("after: got passages %+v, want the new 2", got)
	}
	if d := readDocument(t, ctx, s, a.DocumentID); d.Version != 1 || d.State != document.DocumentReady {
		t.Errorf("document: got %+v, want version 1 still", d)
	}
	revertReindex(t, ctx, s, r.ID, leaseTime)
	wantHits(t, ctx, s, "reverted", c, "cut one", "cut three", "cut two")
}

// The pages of a list are of one space.
func listsPassagesOfOneSpace(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "passages of one space")
	a := publishTexts(t, ctx, s, c, "a", "one", "two")
	list, err := s.Passages(ctx, a.DocumentID, document.Page{Limit: 1})
	if err != nil || list.NextCursor == "" {
		t.Fatalf("got %+v, %v, want a page with a cursor", list, err)
	}
	runReindex(t, ctx, s, document.ReindexRequest{Collection: c.Name, Tokens: 800}, leaseTime)
	_, err = s.Passages(ctx, a.DocumentID, document.Page{Limit: 1, Cursor: list.NextCursor})
	wantFault(t, err, fault.Conflict)
	if got := listPassages(t, ctx, s, a.DocumentID, 1); len(got) != 2 {
		t.Errorf("from the start: got %+v, want 2 passages", got)
	}
}

func activatesForAnEmptyCollection(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "switch nothing")
	r := runReindex(t, ctx, s, changeModelRequest(c), leaseTime)
	if got := readCollection(t, ctx, s, c).ActiveSpace.Model; got != changeModelRequest(c).Model {
		t.Errorf("live model: got %+v", got)
	}
	wantHits(t, ctx, s, "empty", c)
	revertReindex(t, ctx, s, r.ID, leaseTime)
}

// Who asks for the collection to upload to it is told what is live, whatever
// they would have it made with.
func readsTheCollectionOfTheActiveSpace(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "collections rebuilt")
	runReindex(t, ctx, s, changeModelRequest(c), leaseTime)
	if diff := cmp.Diff(readCollection(t, ctx, s, c), ensureCollection(t, ctx, s, c.Name)); diff != "" {
		t.Errorf("collection (-read +ensured):\n%s", diff)
	}
}

// Readers never see nothing, nor some of both.
func showsOneSpaceOrTheOther(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "switch and read")
	a := publishTexts(t, ctx, s, c, "a", "old one", "old two")
	b := publishTexts(t, ctx, s, c, "b", "old three")
	work := startReindex(t, ctx, s, document.ReindexRequest{Collection: c.Name, Tokens: 800})
	writeToSpace(t, ctx, s, work, spaceWriteOf(a, passagesIn(work.Space, "new one")...))
	writeToSpace(t, ctx, s, work, spaceWriteOf(b, passagesIn(work.Space, "new three", "new two")...))

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
				list, err := s.Passages(ctx, a.DocumentID, document.Page{Limit: 10})
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
	r := activateSpace(t, ctx, s, work, leaseTime)
	revertReindex(t, ctx, s, r.ID, leaseTime) // and back again
	activateSpace(t, ctx, s, startReindex(t, ctx, s, document.ReindexRequest{Collection: c.Name, Tokens: 800}), leaseTime)
	close(switched)
	readers.Wait()
	wantHits(t, ctx, s, "afterwards", c, "new one", "new three", "new two")
}

// Either the version is in the space that is switched to, or one of the two is
// told to try again.
func losesNothingThatIsPublishedMeanwhile(t *testing.T, ctx context.Context, s Store) {
	for i := range 10 {
		c := ensureCollection(t, ctx, s, fmt.Sprint("switch and publish ", i))
		publishTexts(t, ctx, s, c, "a", "one")
		reindex := startReindex(t, ctx, s, changeModelRequest(c))
		writeMissing(t, ctx, s, reindex)
		upload := beginKnowledge(t, ctx, s, c, "b")
		progress := document.KnowledgeProgress{Passages: 1}
		var placed []vector.SpaceVersion
		writeBatch(t, ctx, s, upload, batchOf(0, passagesIn(c.ActiveSpace, "two")...), progress)
		if i%2 == 0 {
			placed = []vector.SpaceVersion{{SpaceID: reindex.Space.ID, Passages: 1}}
			writeBatch(t, ctx, s, withSpace(reindex.Space, upload), batchOf(0, passagesIn(reindex.Space, "two")...), progress)
		}
		var switched, published error
		concurrently(t, 2, func(n int) error {
			if n == 0 {
				switched = s.ActivateSpace(ctx, reindex, leaseTime, document.ReindexProgress{})
			} else {
				published = s.Publish(ctx, upload, placed, progress)
			}
			return nil
		})
		switch {
		case switched == nil && published == nil && placed != nil:
			wantHits(t, ctx, s, "both are done", c, "one", "two")
		case switched == nil && fault.Is(published, fault.Unavailable) && placed == nil:
			wantHits(t, ctx, s, "switched", c, "one")
		case published == nil && fault.Is(switched, fault.Conflict) && placed == nil:
			wantHits(t, ctx, s, "published", c, "one", "two")
			writeMissing(t, ctx, s, reindex)
			activateSpace(t, ctx, s, reindex, leaseTime)
			wantHits(t, ctx, s, "published and switched", c, "one", "two")
		default:
			t.Errorf("published in %+v: switch: %v; publish: %v", placed, switched, published)
		}
	}
}
