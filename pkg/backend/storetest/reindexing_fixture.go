package storetest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// anotherModel asks for another model of a collection, with vectors of 2
// dimensions.
func anotherModel(c document.Collection) document.ReindexRequest {
	return document.ReindexRequest{Collection: c.Name, Model: document.Model{Name: "next model of " + c.Name, Dimensions: 2}}
}

func beginReindex(t *testing.T, ctx context.Context, s Store, request document.ReindexRequest) document.Reindex {
	t.Helper()
	r, err := s.BeginReindex(ctx, request)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func readReindex(t *testing.T, ctx context.Context, s Store, id uuid.UUID) document.Reindex {
	t.Helper()
	r, err := s.Reindex(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// steerReindex does to a reindex what must succeed, and checks that it is read
// as it was answered.
func steerReindex(t *testing.T, ctx context.Context, s Store, steer func(context.Context, uuid.UUID) (document.Reindex, error), id uuid.UUID) document.Reindex {
	t.Helper()
	r, err := steer(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(readReindex(t, ctx, s, id), r); diff != "" {
		t.Errorf("reindex (-read +answered):\n%s", diff)
	}
	return r
}

func cancelReindex(t *testing.T, ctx context.Context, s Store, id uuid.UUID, keep time.Duration) document.Reindex {
	t.Helper()
	return steerReindex(t, ctx, s, func(ctx context.Context, id uuid.UUID) (document.Reindex, error) {
		return s.CancelReindex(ctx, id, keep)
	}, id)
}

func revertReindex(t *testing.T, ctx context.Context, s Store, id uuid.UUID, keep time.Duration) document.Reindex {
	t.Helper()
	return steerReindex(t, ctx, s, func(ctx context.Context, id uuid.UUID) (document.Reindex, error) {
		return s.RevertReindex(ctx, id, keep)
	}, id)
}

// reindexRef returns the reference to a reindex.
func reindexRef(t *testing.T, ctx context.Context, id uuid.UUID) document.TaskRef {
	t.Helper()
	return refOf(t, ctx, document.Job{DocumentID: id, Version: 1}, document.Reindexing)
}

func claimReindex(t *testing.T, ctx context.Context, s Store, id uuid.UUID) document.Work {
	t.Helper()
	work, err := s.Claim(ctx, reindexRef(t, ctx, id), leaseTime)
	if err != nil {
		t.Fatal(err)
	}
	return work
}

// startReindex begins a reindex and claims it.
func startReindex(t *testing.T, ctx context.Context, s Store, request document.ReindexRequest) document.Work {
	t.Helper()
	return claimReindex(t, ctx, s, beginReindex(t, ctx, s, request).ID)
}

// alsoWritten returns the spaces, besides the live one, that uploads to a collection
// are written to now, the oldest first.
func alsoWritten(t *testing.T, ctx context.Context, s Store, c document.Collection) []document.Space {
	t.Helper()
	job := accept(t, ctx, s, uploadOf(c, "looks what is written "+uuid.NewString())).Job
	spaces := claim(t, ctx, s, job, document.Knowledge).Also
	if err := s.DeleteDocument(ctx, job.DocumentID); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(spaces, func(a, b document.Space) int { return int(a.ID - b.ID) })
	return spaces
}

func wantAlso(t *testing.T, ctx context.Context, s Store, when string, c document.Collection, want ...document.Space) {
	t.Helper()
	if diff := cmp.Diff(append([]document.Space{}, want...), append([]document.Space{}, alsoWritten(t, ctx, s, c)...)); diff != "" {
		t.Errorf("%s: spaces that are written too (-want +got):\n%s", when, diff)
	}
}

func rebuildOf(t *testing.T, ctx context.Context, s Store, work document.Work) document.Rebuild {
	t.Helper()
	rebuild, err := s.Rebuild(ctx, work)
	if err != nil {
		t.Fatal(err)
	}
	return rebuild
}

// unplaced returns all that is not placed whole in the space of the work.
func unplaced(t *testing.T, ctx context.Context, s Store, work document.Work) []document.Unplaced {
	t.Helper()
	found, err := s.Unplaced(ctx, work, uuid.Nil, 100)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// unplacedOf describes a version as it is found to be unplaced.
func unplacedOf(upload document.Upload, accepted document.Accepted) document.Unplaced {
	return document.Unplaced{Document: accepted.Document.ID, Version: accepted.Job.Version,
		Key: upload.Key, Object: upload.Object, Size: upload.Size, SHA256: upload.SHA256, Title: upload.Title, MediaType: upload.MediaType}
}

func wantUnplaced(t *testing.T, ctx context.Context, s Store, when string, work document.Work, want ...document.Unplaced) {
	t.Helper()
	if diff := cmp.Diff(append([]document.Unplaced{}, want...), append([]document.Unplaced{}, unplaced(t, ctx, s, work)...)); diff != "" {
		t.Errorf("%s: unplaced (-want +got):\n%s", when, diff)
	}
}

// storedTexts returns the texts of a version in a space.
func storedTexts(t *testing.T, ctx context.Context, s Store, space document.Space, of document.Unplaced) []string {
	t.Helper()
	stored, err := s.StoredPassages(ctx, space, of, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{}
	for _, p := range stored {
		texts = append(texts, p.Content)
	}
	return texts
}

func wantStored(t *testing.T, ctx context.Context, s Store, when string, space document.Space, of document.Unplaced, want ...string) {
	t.Helper()
	if diff := cmp.Diff(append([]string{}, want...), storedTexts(t, ctx, s, space, of)); diff != "" {
		t.Errorf("%s: passages in space %d (-want +got):\n%s", when, space.ID, diff)
	}
}

// passagesIn returns passages of these texts with vectors of the space, each
// further from the first one's.
func passagesIn(space document.Space, texts ...string) []document.Embedded {
	var passages []document.Embedded
	for i, text := range texts {
		vector := make([]float32, space.Model.Dimensions)
		vector[0], vector[1] = 1, float32(i)
		passages = append(passages, passageOf(text, vector...))
	}
	return passages
}

// wholeOf returns what places a version whole, with these passages.
func wholeOf(of document.Unplaced, passages ...document.Embedded) document.Rebuilt {
	batch := batchOf(0, passages...)
	return document.Rebuilt{
		New:     batch.New,
		Places:  []document.RebuiltPlaces{{Unplaced: of, Places: batch.Places, Whole: int64(len(passages))}},
		Reached: of.Document,
	}
}

func place(t *testing.T, ctx context.Context, s Store, work document.Work, rebuilt document.Rebuilt) {
	t.Helper()
	if err := s.Place(ctx, work, rebuilt, document.ReindexProgress{}); err != nil {
		t.Fatal(err)
	}
}

// fill places all that is unplaced, from the stored text.
func fill(t *testing.T, ctx context.Context, s Store, work document.Work) {
	t.Helper()
	from := rebuildOf(t, ctx, s, work).From
	for _, of := range unplaced(t, ctx, s, work) {
		place(t, ctx, s, work, wholeOf(of, passagesIn(work.Space, storedTexts(t, ctx, s, from, of)...)...))
	}
}

// finish verifies what a reindex built, and switches to it.
func finish(t *testing.T, ctx context.Context, s Store, work document.Work, keep time.Duration) document.Reindex {
	t.Helper()
	if err := s.Verify(ctx, work, 20); err != nil {
		t.Fatal(err)
	}
	if err := s.Switch(ctx, work, keep, document.ReindexProgress{}); err != nil {
		t.Fatal(err)
	}
	return readReindex(t, ctx, s, work.Job)
}

// change does the whole of a reindex that changes the space.
func change(t *testing.T, ctx context.Context, s Store, request document.ReindexRequest, keep time.Duration) document.Reindex {
	t.Helper()
	work := startReindex(t, ctx, s, request)
	fill(t, ctx, s, work)
	return finish(t, ctx, s, work, keep)
}

// writeIn writes passages of these texts in a space, and returns what is to be
// published of it.
func writeIn(ctx context.Context, s Store, space document.Space, work document.Work, texts ...string) (document.Placement, error) {
	n := int64(len(texts))
	err := s.Write(ctx, in(space, work), batchOf(0, passagesIn(space, texts...)...), document.KnowledgeProgress{Passages: n})
	return document.Placement{Space: space.ID, Passages: n}, err
}

// publishEverywhere does the knowledge task of a job, in every space that is
// kept complete.
func publishEverywhere(t *testing.T, ctx context.Context, s Store, job document.Job, texts ...string) {
	t.Helper()
	work := claim(t, ctx, s, job, document.Knowledge)
	var placed []document.Placement
	for _, space := range append(slices.Clone(work.Also), work.Space) {
		placement, err := writeIn(ctx, s, space, work, texts...)
		if err != nil {
			t.Fatal(err)
		}
		if space.ID != work.Space.ID {
			placed = append(placed, placement)
		}
	}
	if err := s.Publish(ctx, work, placed, document.KnowledgeProgress{Passages: int64(len(texts))}); err != nil {
		t.Fatal(err)
	}
}

// publishTexts accepts a document and does its job in the live space only.
func publishTexts(t *testing.T, ctx context.Context, s Store, c document.Collection, key string, texts ...string) document.Unplaced {
	t.Helper()
	upload := uploadOf(c, key)
	accepted := publishDocument(t, ctx, s, upload, passagesIn(live(t, ctx, s, c).Space, texts...)...)
	return unplacedOf(upload, accepted)
}

// live returns a collection as it is now.
func live(t *testing.T, ctx context.Context, s Store, c document.Collection) document.Collection {
	t.Helper()
	c, err := s.Collection(ctx, c.Name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// searchAll searches a collection's space for all that is in it.
func searchAll(ctx context.Context, s Store, c document.Collection) ([]string, error) {
	vector := make([]float32, c.Space.Model.Dimensions)
	vector[0] = 1
	hits, err := s.Nearest(ctx, c.Space, document.Query{Collection: c.Name, Vector: vector, Limit: 100, Threshold: -1})
	texts := contents(hits)
	slices.Sort(texts)
	return texts, err
}

// wantFound checks what a search of the collection's live space finds.
func wantFound(t *testing.T, ctx context.Context, s Store, when string, c document.Collection, want ...string) {
	t.Helper()
	got, err := searchAll(ctx, s, live(t, ctx, s, c))
	if err != nil {
		t.Errorf("%s: %v", when, err)
	}
	if diff := cmp.Diff(append([]string{}, want...), got); diff != "" {
		t.Errorf("%s: found (-want +got):\n%s", when, diff)
	}
}
