package storetest

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/rebuild"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

func plansRebuilds(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "rebuild")
	a := publishTexts(t, ctx, s, c, "a", "one")
	b := publishTexts(t, ctx, s, c, "b", "two", "three")
	publishTexts(t, ctx, s, c, "c", "four")
	acceptUpload(t, ctx, s, uploadOf(c, "pending"))
	work := startReindex(t, ctx, s, changeModelRequest(c))
	check := func(when string, work task.Work, reached uuid.UUID, progress document.ReindexProgress) {
		t.Helper()
		want := rebuild.Plan{Reindex: readReindex(t, ctx, s, work.JobID), From: c.ActiveSpace, To: work.Space, Checkpoint: reached}
		want.Reindex.Progress = progress
		if diff := cmp.Diff(want, planRebuild(t, ctx, s, work)); diff != "" {
			t.Errorf("%s: rebuild (-want +got):\n%s", when, diff)
		}
	}
	check("at first", work, uuid.Nil, document.ReindexProgress{Documents: 3, Bytes: 3000})

	progress := document.ReindexProgress{Documents: 3, Bytes: 3000, DocumentsDone: 1, BytesDone: 1000, Passages: 1, Embedded: 1, Seconds: 0.25}
	if err := s.WriteToSpace(ctx, work, spaceWriteOf(a, passagesIn(work.Space, "one")...), progress); err != nil {
		t.Fatal(err)
	}
	if got := readReindex(t, ctx, s, work.JobID).Progress; !cmp.Equal(got, progress) {
		t.Errorf("progress: got %+v, want %+v", got, progress)
	}
	check("one is done", work, a.DocumentID, progress)
	part := spaceWriteOf(b, passagesIn(work.Space, "two")...)
	part.Versions[0].TotalEntries, part.Checkpoint = -1, uuid.Nil
	progress.Passages, progress.Embedded = 2, 2
	if err := s.WriteToSpace(ctx, work, part, progress); err != nil {
		t.Fatal(err)
	}
	recordOutcome(t, ctx, s, work, task.Outcome{Verdict: task.VerdictWait, Error: "down"})

	// The next attempt goes on behind what is done, and what came meanwhile
	// counts too.
	publishTexts(t, ctx, s, c, "d", "five")
	progress.Documents, progress.Bytes = 4, 4000
	check("the next attempt", claimReindex(t, ctx, s, work.JobID), a.DocumentID, progress)
}

func listsMissingVersions(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "unplaced")
	a := publishTexts(t, ctx, s, c, "a", "one")
	superseded := publishTexts(t, ctx, s, c, "b", "two")
	deleted := publishTexts(t, ctx, s, c, "c", "three")
	upload := sizedUpload(c, "dir/d £", 5<<30)
	d := missingVersionOf(upload, publishDocument(t, ctx, s, upload, passageOf("four", 1, 0, 0)))
	failJob(t, ctx, s, acceptUpload(t, ctx, s, uploadOf(c, "failed")).Job)
	acceptUpload(t, ctx, s, uploadOf(c, "pending"))
	publishTexts(t, ctx, s, ensureCollection(t, ctx, s, "unplaced elsewhere"), "a", "one")
	b := publishTexts(t, ctx, s, c, "b", "two again")
	acceptUpload(t, ctx, s, uploadOf(c, "a")) // of which the first version is live
	if err := s.DeleteDocument(ctx, deleted.DocumentID); err != nil {
		t.Fatal(err)
	}

	work := startReindex(t, ctx, s, changeModelRequest(c))
	wantMissing(t, ctx, s, "at first", work, a, b, d)
	for limit := 1; limit <= 3; limit++ {
		var got []rebuild.MissingVersion
		for after := uuid.Nil; ; after = got[len(got)-1].DocumentID {
			page, err := s.MissingVersions(ctx, work, after, limit)
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
		if diff := cmp.Diff([]rebuild.MissingVersion{a, b, d}, got); diff != "" {
			t.Errorf("limit %d: unplaced (-want +got):\n%s", limit, diff)
		}
	}
	writeToSpace(t, ctx, s, work, spaceWriteOf(b, passagesIn(work.Space, "two again")...))
	wantMissing(t, ctx, s, "one is placed", work, a, d)
	writeToSpace(t, ctx, s, work, spaceWriteOf(superseded, passagesIn(work.Space, "two")...))
	wantMissing(t, ctx, s, "and so should its first version be", work, a, d)
}

func readsVersionPassages(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "stored")
	passages := passagesIn(c.ActiveSpace, "one", "two", "one", "three")
	passages[1].HeadingPath, passages[1].Context = []string{"A", "B, {\"C\"}"}, "| x |\n|---|"
	passages[1].Title, passages[1].Omitted = "T, {\"U\"}", []document.Range{{Start: 0, End: 1}, {Start: 2, End: 3}}
	passages[3].HeadingPath, passages[3].Title = []string{}, "T"
	upload := uploadOf(c, "a")
	of := missingVersionOf(upload, publishDocument(t, ctx, s, upload, passages...))
	var want []vector.PassageAt
	for i, p := range batchOf(0, passages...).Entries {
		want = append(want, vector.PassageAt{ManifestEntry: p, PassageText: passages[i].PassageText})
	}
	publishTexts(t, ctx, s, c, "b", "another")

	for limit := 1; limit <= 5; limit++ {
		got := []vector.PassageAt{}
		for from := 0; from < 2*len(want); from += limit {
			page, err := s.VersionPassages(ctx, c.ActiveSpace, of, from, limit)
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
	wantVersionTexts(t, ctx, s, "the first version", c.ActiveSpace, of, "one", "two", "one", "three")
	wantVersionTexts(t, ctx, s, "the second version", c.ActiveSpace, second, "newer")
	second.Version = 3
	wantVersionTexts(t, ctx, s, "no such version", c.ActiveSpace, second)
	work := startReindex(t, ctx, s, changeModelRequest(c))
	second.Version = 2
	wantVersionTexts(t, ctx, s, "in another space", work.Space, second)
}
