package storetest

import (
	"context"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/rebuild"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// wantReusable checks which of the passages Embedded finds for a space.
func wantReusable(t *testing.T, ctx context.Context, s Store, space vector.Space, of []vector.EmbeddedPassage, want ...vector.EmbeddedPassage) {
	t.Helper()
	hashes, err := s.ReusableHashes(ctx, space, hashesOf(of...))
	if err != nil {
		t.Fatal(err)
	}
	got, wanted := map[document.ContentHash]bool{}, map[document.ContentHash]bool{}
	for _, hash := range hashes {
		got[hash] = true
	}
	for _, hash := range hashesOf(want...) {
		wanted[hash] = true
	}
	if diff := cmp.Diff(wanted, got); diff != "" || len(hashes) != len(got) {
		t.Errorf("%d with a vector of %+v (-want +got):\n%s", len(hashes), space.Model, diff)
	}
}

func findsReusableHashesOfAnySpace(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "embedded")
	model := document.Model{Name: "embedded model", Dimensions: 2}
	other, err := s.EnsureCollection(ctx, "embedded elsewhere", model, document.Chunking{Tokens: 10})
	if err != nil {
		t.Fatal(err)
	}
	publishTexts(t, ctx, s, other, "a", "embedded elsewhere", "embedded twice")
	work := startReindex(t, ctx, s, document.ReindexRequest{Collection: c.Name, Model: model})
	writeToSpace(t, ctx, s, work, rebuild.SpaceWrite{New: passagesIn(work.Space, "embedded here", "embedded twice")})
	all := passagesIn(work.Space, "embedded elsewhere", "embedded here", "embedded never", "embedded twice")

	wantReusable(t, ctx, s, work.Space, all, all[0], all[1], all[3])
	wantReusable(t, ctx, s, work.Space, nil)
	wantReusable(t, ctx, s, vector.Space{CollectionID: c.ID, Model: document.Model{Name: "embedded model", Dimensions: 3}}, all)
	wantReusable(t, ctx, s, c.ActiveSpace, all)
	cancelReindex(t, ctx, s, work.JobID, leaseTime)
	wantReusable(t, ctx, s, work.Space, all, all[0], all[1], all[3])
}

func estimateReindex(t *testing.T, ctx context.Context, s Store, request document.ReindexRequest) document.ReindexEstimate {
	t.Helper()
	got, err := s.EstimateReindex(ctx, request)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func estimatesAChangeOfModel(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "estimate model")
	publishTexts(t, ctx, s, c, "a", "estimated one", "estimated two", "estimated one")
	publishTexts(t, ctx, s, c, "b", "superseded")
	publishTexts(t, ctx, s, c, "b", "estimated two", "estimated three")
	publishTexts(t, ctx, s, c, "c", "deleted")
	if err := s.DeleteDocument(ctx, documentOf(t, ctx, s, c, "c")); err != nil {
		t.Fatal(err)
	}
	acceptUpload(t, ctx, s, uploadOf(c, "pending"))
	elsewhere, err := s.EnsureCollection(ctx, "estimate model elsewhere", changeModelRequest(c).Model, document.Chunking{Tokens: 10})
	if err != nil {
		t.Fatal(err)
	}
	tokens := int64(len("estimated one") + len("estimated two") + len("estimated three"))
	want := document.ReindexEstimate{Collection: c.Name, Change: document.ChangeModel, Model: changeModelRequest(c).Model.Name, Dimensions: 2,
		Documents: 2, Passages: 3, Tokens: tokens}
	check := func(when string) {
		t.Helper()
		got := estimateReindex(t, ctx, s, changeModelRequest(c))
		if got.Tokens < want.Tokens || got.Tokens > want.Tokens*3/2 { // the headings may be counted, or reckoned
			t.Errorf("%s: got %d tokens, want %d, or little more", when, got.Tokens, want.Tokens)
		}
		got.Tokens = want.Tokens
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: estimate (-want +got):\n%s", when, diff)
		}
	}
	check("at first")
	publishTexts(t, ctx, s, elsewhere, "a", "estimated three", "unrelated")
	want.Reusable, want.Tokens = 1, tokens-int64(len("estimated three"))
	check("one is embedded elsewhere")

	// It changes nothing, and is told beside another.
	wantReindexes(t, ctx, s, document.ReindexFilter{Collection: c.Name})
	wantOtherSpaces(t, ctx, s, "estimated", c)
	if diff := cmp.Diff(c.ActiveSpace, readCollection(t, ctx, s, c).ActiveSpace); diff != "" {
		t.Errorf("collection (-before +after):\n%s", diff)
	}
	work := startReindex(t, ctx, s, document.ReindexRequest{Collection: c.Name, Tokens: 100})
	check("another is running")
	cancelReindex(t, ctx, s, work.JobID, leaseTime)
	work = startReindex(t, ctx, s, changeModelRequest(c))
	writeToSpace(t, ctx, s, work, rebuild.SpaceWrite{New: passagesIn(work.Space, "estimated one")})
	cancelReindex(t, ctx, s, work.JobID, leaseTime)
	want.Reusable, want.Tokens = 2, int64(len("estimated two"))
	check("one is kept")

	_, err = s.EstimateReindex(ctx, document.ReindexRequest{Collection: "never made"})
	wantFault(t, err, fault.NotFound)
}

// documentOf returns the id of the document under a key.
func documentOf(t *testing.T, ctx context.Context, s Store, c vector.Collection, key string) uuid.UUID {
	t.Helper()
	list, err := s.Documents(ctx, document.DocumentFilter{Collection: c.Name, KeyPrefix: key}, document.Page{Limit: 1})
	if err != nil || len(list.Items) != 1 {
		t.Fatalf("got documents %+v, %v", list.Items, err)
	}
	return list.Items[0].ID
}

func estimatesAChangeOfChunking(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "estimate chunking")
	publishTexts(t, ctx, s, c, "a", "one", "two")
	publishTexts(t, ctx, s, c, "b", "three")
	acceptUpload(t, ctx, s, uploadOf(c, "pending"))
	want := document.ReindexEstimate{Collection: c.Name, Change: document.ChangeChunking, Model: "test-model", Dimensions: 3, Documents: 2}
	if diff := cmp.Diff(want, estimateReindex(t, ctx, s, document.ReindexRequest{Collection: c.Name, Tokens: 100})); diff != "" {
		t.Errorf("estimate (-want +got):\n%s", diff)
	}
}

func estimatesNoChange(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "estimate nothing")
	a := publishTexts(t, ctx, s, c, "dir/a", "one", "two")
	publishTexts(t, ctx, s, c, "dir/b", "two")
	publishTexts(t, ctx, s, c, "c", "three")
	failJob(t, ctx, s, acceptUpload(t, ctx, s, uploadOf(c, "dir/failed")).Job)
	acceptUpload(t, ctx, s, uploadOf(c, "dir/pending"))
	for name, test := range map[string]struct {
		request document.ReindexRequest
		want    int64
	}{
		"what came to nothing":             {document.ReindexRequest{}, 1},
		"all":                              {document.ReindexRequest{Force: true}, 4},
		"a prefix":                         {document.ReindexRequest{Force: true, KeyPrefix: "dir/"}, 3},
		"a prefix of what came to nothing": {document.ReindexRequest{KeyPrefix: "dir/"}, 1},
		"a document":                       {document.ReindexRequest{Force: true, DocumentIDs: []uuid.UUID{a.DocumentID}}, 1},
		"a document that is whole":         {document.ReindexRequest{DocumentIDs: []uuid.UUID{a.DocumentID}}, 0},
	} {
		test.request.Collection = c.Name
		got := estimateReindex(t, ctx, s, test.request)
		if got.Collection != c.Name || got.Change != document.ChangeNothing || got.Model != "test-model" || got.Dimensions != 3 || got.Documents != test.want {
			t.Errorf("%s: got %+v, want %d documents", name, got, test.want)
		}
		if ids, err := s.DocumentsToRedo(ctx, test.request); err != nil || int64(len(ids)) != test.want {
			t.Errorf("%s: %d documents are to be redone, %v; want %d", name, len(ids), err, test.want)
		}
		if got.Passages != got.Reusable || got.Tokens != 0 {
			t.Errorf("%s: got %+v, want no passage to be embedded: those that are known have vectors", name, got)
		}
	}
}

func embeddingRate(t *testing.T, ctx context.Context, s Store, model document.Model) float64 {
	t.Helper()
	got, err := s.EmbeddingRate(ctx, model)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func ratesReindexes(t *testing.T, ctx context.Context, s Store) {
	model := document.Model{Name: "rated model", Dimensions: 2}
	run := func(collection string, model document.Model, progress document.ReindexProgress) uuid.UUID {
		t.Helper()
		c := ensureCollection(t, ctx, s, collection)
		work := startReindex(t, ctx, s, document.ReindexRequest{Collection: c.Name, Model: model})
		if err := s.ActivateSpace(ctx, work, leaseTime, progress); err != nil {
			t.Fatal(err)
		}
		return work.JobID
	}
	want := func(when string, want float64) {
		t.Helper()
		if got := embeddingRate(t, ctx, s, model); math.Abs(got-want) > 1e-6 {
			t.Errorf("%s: got %v passages a second, want %v", when, got, want)
		}
	}
	want("never used", 0)
	run("rate one", model, document.ReindexProgress{Passages: 300, Embedded: 100, Reused: 200, Seconds: 4})
	want("once", 25)
	run("rate two", model, document.ReindexProgress{Passages: 100, Embedded: 100, Seconds: 2})
	want("twice", 50)
	run("rate three", model, document.ReindexProgress{Passages: 100, Reused: 100, Seconds: 2})
	want("nothing was embedded", 50)
	run("rate four", document.Model{Name: "another rated model", Dimensions: 2}, document.ReindexProgress{Embedded: 9, Seconds: 1})
	want("another model", 50)
	reverted := run("rate five", model, document.ReindexProgress{Embedded: 9, Seconds: 1})
	want("to be reverted", 9)
	if _, err := s.RevertReindex(ctx, reverted, leaseTime); err != nil {
		t.Fatal(err)
	}
	want("reverted", 50)
}

func ratesJobs(t *testing.T, ctx context.Context, s Store) {
	model := document.Model{Name: "rated by jobs", Dimensions: 2}
	c, err := s.EnsureCollection(ctx, "rate of jobs", model, document.Chunking{Tokens: 400})
	if err != nil {
		t.Fatal(err)
	}
	acceptUpload(t, ctx, s, uploadOf(c, "pending"))
	if got := embeddingRate(t, ctx, s, model); got != 0 {
		t.Errorf("nothing was embedded: got %v", got)
	}
	publishTexts(t, ctx, s, c, "a", "one", "two")
	if got := embeddingRate(t, ctx, s, model); got <= 0 || math.IsNaN(got) || math.IsInf(got, 0) {
		t.Errorf("a job has embedded two passages: got a rate of %v", got)
	}
}

// Jobs that are done at the same time count for the time that they take
// together.
func ratesJobsTogether(t *testing.T, ctx context.Context, s Store) {
	model := document.Model{Name: "rated by jobs together", Dimensions: 2}
	c, err := s.EnsureCollection(ctx, "rate of jobs together", model, document.Chunking{Tokens: 400})
	if err != nil {
		t.Fatal(err)
	}
	var jobs []document.Job
	for _, key := range []string{"a", "b", "c", "d"} {
		jobs = append(jobs, acceptUpload(t, ctx, s, uploadOf(c, key)).Job)
	}
	begin := time.Now()
	var works []task.Work
	for _, job := range jobs {
		works = append(works, claimTask(t, ctx, s, job, task.KindKnowledge))
	}
	for i, work := range works {
		passage := passagesIn(c.ActiveSpace, fmt.Sprint("together ", i))
		if err := s.WriteBatch(ctx, work, batchOf(0, passage...), document.KnowledgeProgress{}); err != nil {
			t.Fatal(err)
		}
	}
	most := time.Since(begin)
	for _, work := range works {
		if err := s.Publish(ctx, work, nil, document.KnowledgeProgress{Stage: "done", Passages: 1, Embedded: 1}); err != nil {
			t.Fatal(err)
		}
	}
	if got, least := embeddingRate(t, ctx, s, model), 4/most.Seconds(); got < least {
		t.Errorf("four passages were embedded within %s: got %v a second, want at least %v", most, got, least)
	}
}
