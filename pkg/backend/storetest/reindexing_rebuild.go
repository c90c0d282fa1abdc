package storetest

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

func saysWhatIsToBeRebuilt(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "rebuild")
	a := publishTexts(t, ctx, s, c, "a", "one")
	b := publishTexts(t, ctx, s, c, "b", "two", "three")
	publishTexts(t, ctx, s, c, "c", "four")
	accept(t, ctx, s, uploadOf(c, "pending"))
	work := startReindex(t, ctx, s, anotherModel(c))
	check := func(when string, work document.Work, reached uuid.UUID, progress document.ReindexProgress) {
		t.Helper()
		want := document.Rebuild{Reindex: readReindex(t, ctx, s, work.Job), From: c.Space, To: work.Space, Reached: reached}
		want.Reindex.Progress = progress
		if diff := cmp.Diff(want, rebuildOf(t, ctx, s, work)); diff != "" {
			t.Errorf("%s: rebuild (-want +got):\n%s", when, diff)
		}
	}
	check("at first", work, uuid.Nil, document.ReindexProgress{Documents: 3, Bytes: 3000})

	progress := document.ReindexProgress{Documents: 3, Bytes: 3000, DocumentsDone: 1, BytesDone: 1000, Passages: 1, Embedded: 1, Seconds: 0.25}
	if err := s.Place(ctx, work, wholeOf(a, passagesIn(work.Space, "one")...), progress); err != nil {
		t.Fatal(err)
	}
	if got := readReindex(t, ctx, s, work.Job).Progress; !cmp.Equal(got, progress) {
		t.Errorf("progress: got %+v, want %+v", got, progress)
	}
	check("one is done", work, a.Document, progress)
	part := wholeOf(b, passagesIn(work.Space, "two")...)
	part.Places[0].Whole, part.Reached = -1, uuid.Nil
	progress.Passages, progress.Embedded = 2, 2
	if err := s.Place(ctx, work, part, progress); err != nil {
		t.Fatal(err)
	}
	settle(t, ctx, s, work, document.Outcome{Verdict: document.VerdictWait, Error: "down"})

	// The next attempt goes on behind what is done, and what came meanwhile
	// counts too.
	publishTexts(t, ctx, s, c, "d", "five")
	progress.Documents, progress.Bytes = 4, 4000
	check("the next attempt", claimReindex(t, ctx, s, work.Job), a.Document, progress)
}

func listsWhatIsUnplaced(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "unplaced")
	a := publishTexts(t, ctx, s, c, "a", "one")
	superseded := publishTexts(t, ctx, s, c, "b", "two")
	deleted := publishTexts(t, ctx, s, c, "c", "three")
	upload := sizedUpload(c, "dir/d £", 5<<30)
	d := unplacedOf(upload, publishDocument(t, ctx, s, upload, passageOf("four", 1, 0, 0)))
	fail(t, ctx, s, accept(t, ctx, s, uploadOf(c, "failed")).Job)
	accept(t, ctx, s, uploadOf(c, "pending"))
	publishTexts(t, ctx, s, ensure(t, ctx, s, "unplaced elsewhere"), "a", "one")
	b := publishTexts(t, ctx, s, c, "b", "two again")
	accept(t, ctx, s, uploadOf(c, "a")) // of which the first version is live
	if err := s.DeleteDocument(ctx, deleted.Document); err != nil {
		t.Fatal(err)
	}

	work := startReindex(t, ctx, s, anotherModel(c))
	wantUnplaced(t, ctx, s, "at first", work, a, b, d)
	for limit := 1; limit <= 3; limit++ {
		var got []document.Unplaced
		for after := uuid.Nil; ; after = got[len(got)-1].Document {
			page, err := s.Unplaced(ctx, work, after, limit)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			if got = append(got, page...); len(page) > limit || len(got) > 3 {
				t.Fatalf("limit %d: got %+v", limit, got)
			}
		}
		if diff := cmp.Diff([]document.Unplaced{a, b, d}, got); diff != "" {
			t.Errorf("limit %d: unplaced (-want +got):\n%s", limit, diff)
		}
	}
	place(t, ctx, s, work, wholeOf(b, passagesIn(work.Space, "two again")...))
	wantUnplaced(t, ctx, s, "one is placed", work, a, d)
	place(t, ctx, s, work, wholeOf(superseded, passagesIn(work.Space, "two")...))
	wantUnplaced(t, ctx, s, "and so should its first version be", work, a, d)
}

func readsStoredPassages(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "stored")
	passages := passagesIn(c.Space, "one", "two", "one", "three")
	passages[1].HeadingPath, passages[1].Context = []string{"A", "B, {\"C\"}"}, "| x |\n|---|"
	passages[1].Title, passages[1].Omitted = "T, {\"U\"}", []document.Range{{Start: 0, End: 1}, {Start: 2, End: 3}}
	passages[3].HeadingPath, passages[3].Title = []string{}, "T"
	upload := uploadOf(c, "a")
	of := unplacedOf(upload, publishDocument(t, ctx, s, upload, passages...))
	var want []document.Stored
	for i, p := range batchOf(0, passages...).Places {
		want = append(want, document.Stored{Place: p, Text: passages[i].Text})
	}
	publishTexts(t, ctx, s, c, "b", "another")

	for limit := 1; limit <= 5; limit++ {
		got := []document.Stored{}
		for from := 0; from < 2*len(want); from += limit {
			page, err := s.StoredPassages(ctx, c.Space, of, from, limit)
			if err != nil || len(page) > limit {
				t.Fatalf("from %d, limit %d: got %d passages, %v", from, limit, len(page), err)
			}
			got = append(got, page...)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("limit %d: passages (-want +got):\n%s", limit, diff)
		}
	}

	second := publishTexts(t, ctx, s, c, "a", "newer")
	wantStored(t, ctx, s, "the first version", c.Space, of, "one", "two", "one", "three")
	wantStored(t, ctx, s, "the second version", c.Space, second, "newer")
	second.Version = 3
	wantStored(t, ctx, s, "no such version", c.Space, second)
	work := startReindex(t, ctx, s, anotherModel(c))
	second.Version = 2
	wantStored(t, ctx, s, "in another space", work.Space, second)
}
