package storetest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/rebuild"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// changeModelRequest asks for another model of a collection, with vectors of 2
// dimensions.
func changeModelRequest(c vector.Collection) document.ReindexRequest {
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

// controlReindex does to a reindex what must succeed, and checks that it is read
// as it was answered.
func controlReindex(t *testing.T, ctx context.Context, s Store, steer func(context.Context, uuid.UUID) (document.Reindex, error), id uuid.UUID) document.Reindex {
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
	return controlReindex(t, ctx, s, func(ctx context.Context, id uuid.UUID) (document.Reindex, error) {
		return s.CancelReindex(ctx, id, keep)
	}, id)
}

func revertReindex(t *testing.T, ctx context.Context, s Store, id uuid.UUID, keep time.Duration) document.Reindex {
	t.Helper()
	return controlReindex(t, ctx, s, func(ctx context.Context, id uuid.UUID) (document.Reindex, error) {
		return s.RevertReindex(ctx, id, keep)
	}, id)
}

// reindexRef returns the reference to a reindex.
func reindexRef(t *testing.T, ctx context.Context, id uuid.UUID) task.Ref {
	t.Helper()
	return taskRefOf(t, ctx, document.Job{DocumentID: id, Version: 1}, task.KindReindex)
}

func claimReindex(t *testing.T, ctx context.Context, s Store, id uuid.UUID) task.Work {
	t.Helper()
	work, err := s.Claim(ctx, reindexRef(t, ctx, id), leaseTime)
	if err != nil {
		t.Fatal(err)
	}
	return work
}

// startReindex begins a reindex and claims it.
func startReindex(t *testing.T, ctx context.Context, s Store, request document.ReindexRequest) task.Work {
	t.Helper()
	return claimReindex(t, ctx, s, beginReindex(t, ctx, s, request).ID)
}

// otherSpaces returns the spaces, besides the live one, that uploads to a collection
// are written to now, the oldest first.
func otherSpaces(t *testing.T, ctx context.Context, s Store, c vector.Collection) []vector.Space {
	t.Helper()
	job := acceptUpload(t, ctx, s, uploadOf(c, "looks what is written "+uuid.NewString())).Job
	spaces := claimTask(t, ctx, s, job, task.KindKnowledge).OtherSpaces
	if err := s.DeleteDocument(ctx, job.DocumentID); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(spaces, func(a, b vector.Space) int { return int(a.ID - b.ID) })
	return spaces
}

func wantOtherSpaces(t *testing.T, ctx context.Context, s Store, when string, c vector.Collection, want ...vector.Space) {
	t.Helper()
	if diff := cmp.Diff(append([]vector.Space{}, want...), append([]vector.Space{}, otherSpaces(t, ctx, s, c)...)); diff != "" {
		t.Errorf("%s: spaces that are written too (-want +got):\n%s", when, diff)
	}
}

func planRebuild(t *testing.T, ctx context.Context, s Store, work task.Work) rebuild.Plan {
	t.Helper()
	rebuild, err := s.PlanRebuild(ctx, work)
	if err != nil {
		t.Fatal(err)
	}
	return rebuild
}

// missingVersions returns all that is not placed whole in the space of the work.
func missingVersions(t *testing.T, ctx context.Context, s Store, work task.Work) []rebuild.MissingVersion {
	t.Helper()
	found, err := s.MissingVersions(ctx, work, uuid.Nil, 100)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// missingVersionOf describes a version as it is found to be unplaced.
func missingVersionOf(upload original.Upload, accepted document.Accepted) rebuild.MissingVersion {
	return rebuild.MissingVersion{DocumentID: accepted.Document.ID, Version: accepted.Job.Version,
		Key: upload.Key, Object: upload.Object, Size: upload.Size, SHA256: upload.SHA256, Title: upload.Title, MediaType: upload.MediaType}
}

func wantMissing(t *testing.T, ctx context.Context, s Store, when string, work task.Work, want ...rebuild.MissingVersion) {
	t.Helper()
	if diff := cmp.Diff(append([]rebuild.MissingVersion{}, want...), append([]rebuild.MissingVersion{}, missingVersions(t, ctx, s, work)...)); diff != "" {
		t.Errorf("%s: unplaced (-want +got):\n%s", when, diff)
	}
}

// versionTexts returns the texts of a version in a space.
func versionTexts(t *testing.T, ctx context.Context, s Store, space vector.Space, of rebuild.MissingVersion) []string {
	t.Helper()
	stored, err := s.VersionPassages(ctx, space, of, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{}
	for _, p := range stored {
		texts = append(texts, p.Content)
	}
	return texts
}

func wantVersionTexts(t *testing.T, ctx context.Context, s Store, when string, space vector.Space, of rebuild.MissingVersion, want ...string) {
	t.Helper()
	if diff := cmp.Diff(append([]string{}, want...), versionTexts(t, ctx, s, space, of)); diff != "" {
		t.Errorf("%s: passages in space %d (-want +got):\n%s", when, space.ID, diff)
	}
}

// passagesIn returns passages of these texts with vectors of the space, each
// further from the first one's.
func passagesIn(space vector.Space, texts ...string) []vector.EmbeddedPassage {
	var passages []vector.EmbeddedPassage
	for i, text := range texts {
		vector := make([]float32, space.Model.Dimensions)
		vector[0], vector[1] = 1, float32(i)
		passages = append(passages, passageOf(text, vector...))
	}
	return passages
}

// spaceWriteOf returns what places a version whole, with these passages.
func spaceWriteOf(of rebuild.MissingVersion, passages ...vector.EmbeddedPassage) rebuild.SpaceWrite {
	batch := batchOf(0, passages...)
	return rebuild.SpaceWrite{
		New:        batch.New,
		Versions:   []rebuild.VersionWrite{{MissingVersion: of, Entries: batch.Entries, TotalEntries: int64(len(passages))}},
		Checkpoint: of.DocumentID,
	}
}

func writeToSpace(t *testing.T, ctx context.Context, s Store, work task.Work, rebuilt rebuild.SpaceWrite) {
	t.Helper()
	if err := s.WriteToSpace(ctx, work, rebuilt, document.ReindexProgress{}); err != nil {
		t.Fatal(err)
	}
}

// writeMissing places all that is unplaced, from the stored text.
func writeMissing(t *testing.T, ctx context.Context, s Store, work task.Work) {
	t.Helper()
	from := planRebuild(t, ctx, s, work).From
	for _, of := range missingVersions(t, ctx, s, work) {
		writeToSpace(t, ctx, s, work, spaceWriteOf(of, passagesIn(work.Space, versionTexts(t, ctx, s, from, of)...)...))
	}
}

// activateSpace verifies what a reindex built, and switches to it.
func activateSpace(t *testing.T, ctx context.Context, s Store, work task.Work, keep time.Duration) document.Reindex {
	t.Helper()
	if err := s.VerifySpace(ctx, work, 20); err != nil {
		t.Fatal(err)
	}
	if err := s.ActivateSpace(ctx, work, keep, document.ReindexProgress{}); err != nil {
		t.Fatal(err)
	}
	return readReindex(t, ctx, s, work.JobID)
}

// runReindex does the whole of a reindex that changes the space.
func runReindex(t *testing.T, ctx context.Context, s Store, request document.ReindexRequest, keep time.Duration) document.Reindex {
	t.Helper()
	work := startReindex(t, ctx, s, request)
	writeMissing(t, ctx, s, work)
	return activateSpace(t, ctx, s, work, keep)
}

// writeInSpace writes passages of these texts in a space, and returns what is to be
// published of it.
func writeInSpace(ctx context.Context, s Store, space vector.Space, work task.Work, texts ...string) (vector.SpaceVersion, error) {
	n := int64(len(texts))
	err := s.WriteBatch(ctx, withSpace(space, work), batchOf(0, passagesIn(space, texts...)...), document.KnowledgeProgress{Passages: n})
	return vector.SpaceVersion{SpaceID: space.ID, Passages: n}, err
}

// publishEverywhere does the knowledge task of a job, in every space that is
// kept complete.
func publishEverywhere(t *testing.T, ctx context.Context, s Store, job document.Job, texts ...string) {
	t.Helper()
	work := claimTask(t, ctx, s, job, task.KindKnowledge)
	var placed []vector.SpaceVersion
	for _, space := range append(slices.Clone(work.OtherSpaces), work.Space) {
		spaceVersion, err := writeInSpace(ctx, s, space, work, texts...)
		if err != nil {
			t.Fatal(err)
		}
		if space.ID != work.Space.ID {
			placed = append(placed, spaceVersion)
		}
	}
	if err := s.Publish(ctx, work, placed, document.KnowledgeProgress{Passages: int64(len(texts))}); err != nil {
		t.Fatal(err)
	}
}

// publishTexts accepts a document and does its job in the live space only.
func publishTexts(t *testing.T, ctx context.Context, s Store, c vector.Collection, key string, texts ...string) rebuild.MissingVersion {
	t.Helper()
	upload := uploadOf(c, key)
	accepted := publishDocument(t, ctx, s, upload, passagesIn(readCollection(t, ctx, s, c).ActiveSpace, texts...)...)
	return missingVersionOf(upload, accepted)
}

// readCollection returns a collection as it is now.
func readCollection(t *testing.T, ctx context.Context, s Store, c vector.Collection) vector.Collection {
	t.Helper()
	c, err := s.Collection(ctx, c.Name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// searchAll searches a collection's space for all that is in it.
func searchAll(ctx context.Context, s Store, c vector.Collection) ([]string, error) {
	values := make([]float32, c.ActiveSpace.Model.Dimensions)
	values[0] = 1
	hits, err := s.NearestPassages(ctx, c.ActiveSpace, vector.Query{Collection: c.Name, Vector: values, Limit: 100, Threshold: -1})
	texts := contents(hits)
	slices.Sort(texts)
	return texts, err
}

// wantHits checks what a search of the collection's live space finds.
func wantHits(t *testing.T, ctx context.Context, s Store, when string, c vector.Collection, want ...string) {
	t.Helper()
	got, err := searchAll(ctx, s, readCollection(t, ctx, s, c))
	if err != nil {
		t.Errorf("%s: %v", when, err)
	}
	if diff := cmp.Diff(append([]string{}, want...), got); diff != "" {
		t.Errorf("%s: found (-want +got):\n%s", when, diff)
	}
}
