package storetest

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

func searching(t *testing.T, open func(t *testing.T) Store) {
	s := open(t)
	ctx := tenantContext(t, tenant.Default)
	for name, test := range map[string]func(*testing.T, context.Context, Store){
		"Collection":        findsCollections,
		"Order":             searchOrdersByScore,
		"Hit":               searchFillsHits,
		"Threshold":         searchKeepsToTheThreshold,
		"AlsoIn":            searchListsFurtherPlaces,
		"AlsoInLimit":       searchListsAtMostTenFurtherPlaces,
		"Filter of AlsoIn":  searchFiltersFurtherPlaces,
		"Ties":              searchOrdersTiesTheSameWay,
		"KeyPrefix":         searchFiltersByKeyPrefix,
		"Metadata":          searchFiltersByMetadata,
		"Metadata follows":  searchFollowsMetadata,
		"Live versions":     searchSeesPublishedVersionsOnly,
		"Deleted documents": searchSkipsDeletedDocuments,
		"No direction":      searchPassesOverZeroVectors,
		"Wrong length":      searchRefusesVectorsOfAnotherLength,
		"Collections apart": searchKeepsCollectionsApart,
		"Tenants apart":     searchKeepsTenantsApart,
	} {
		t.Run(name, func(t *testing.T) { test(t, ctx, s) })
	}
}

func findsCollections(t *testing.T, ctx context.Context, s Store) {
	want := ensureCollection(t, ctx, s, "sought")
	got, err := s.Collection(ctx, "sought")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("collection (-want +got):\n%s", diff)
	}
	_, err = s.Collection(ctx, "never made")
	wantFault(t, err, fault.NotFound)
	_, err = s.Collection(tenantContext(t, OtherTenant), "sought")
	wantFault(t, err, fault.NotFound)
}

// nearest searches the collection's space for passages near to (1, 0, 0).
func nearest(t *testing.T, ctx context.Context, s Store, c vector.Collection, query vector.Query) []document.Hit {
	t.Helper()
	query.Collection = c.Name
	query.Vector = []float32{1, 0, 0}
	if query.Limit == 0 {
		query.Limit = 100
	}
	hits, err := s.NearestPassages(ctx, c.ActiveSpace, query)
	if err != nil {
		t.Fatal(err)
	}
	return hits
}

// contents returns the texts of hits.
func contents(hits []document.Hit) []string {
	texts := []string{}
	for _, hit := range hits {
		texts = append(texts, hit.Content)
	}
	return texts
}

func wantContents(t *testing.T, hits []document.Hit, want ...string) {
	t.Helper()
	if diff := cmp.Diff(append([]string{}, want...), contents(hits)); diff != "" {
		t.Errorf("hits (-want +got):\n%s", diff)
	}
}

func searchOrdersByScore(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "order")
	publishDocument(t, ctx, s, uploadOf(c, "a"), passageOf("third", 0, 1, 0), passageOf("first", 3, 0, 0))
	publishDocument(t, ctx, s, uploadOf(c, "b"), passageOf("second", 1, 1, 0), passageOf("fourth", -1, 2, 0))

	hits := nearest(t, ctx, s, c, vector.Query{Threshold: -1})
	wantContents(t, hits, "first", "second", "third", "fourth")
	for i, want := range []float64{1, math.Sqrt(0.5), 0, -1 / math.Sqrt(5)} {
		if got := hits[i].Score; math.Abs(got-want) > 1e-6 || math.Abs(got) > 1 {
			t.Errorf("score of %s: got %v, want %v", hits[i].Content, got, want)
		}
		if got := hits[i].Scores.Vector; got == nil || *got != hits[i].Score {
			t.Errorf("vector score of %s: got %v, want %v", hits[i].Content, got, hits[i].Score)
		}
	}
	wantContents(t, nearest(t, ctx, s, c, vector.Query{Threshold: -1, Limit: 2}), "first", "second")
}

func searchFillsHits(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "hit")
	passage := passageOf("| 1 | 2 |", 1, 0, 0)
	passage.HeadingPath = []string{"Réglages", "고급", "\"表\""}
	passage.Context = "| a | b |\n|---|---|"
	accepted := publishDocument(t, ctx, s, uploadOf(c, "guide/안내 £.md"), passageOf("before", 0, 1, 0), passage)

	hits := nearest(t, ctx, s, c, vector.Query{Limit: 1})
	score := 1.0
	want := []document.Hit{{
		Passage: document.Passage{
			Ordinal: 1, Start: 7, End: 16,
			HeadingPath: passage.HeadingPath, Context: passage.Context, Content: passage.Content, Tokens: passage.Tokens,
		},
		DocumentID: accepted.Document.ID,
		Key:        "guide/안내 £.md",
		Title:      "Title of guide/안내 £.md",
		Score:      score,
		Scores:     document.Scores{Vector: &score},
		AlsoIn:     []document.Citation{},
	}}
	if diff := cmp.Diff(want, hits); diff != "" {
		t.Errorf("hits (-want +got):\n%s", diff)
	}

	bare := passageOf("under no heading", 0, 0, 1)
	bare.HeadingPath = nil
	publishDocument(t, ctx, s, uploadOf(c, "bare"), bare)
	for _, hit := range nearest(t, ctx, s, c, vector.Query{KeyPrefix: "bare"}) {
		if hit.HeadingPath == nil {
			t.Error("heading path of a passage under no heading: got nil, want an empty list")
		}
	}
}

func searchKeepsToTheThreshold(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "threshold")
	publishDocument(t, ctx, s, uploadOf(c, "a"),
		passageOf("same", 1, 0, 0), passageOf("near", 1, 1, 0), passageOf("across", 0, 1, 0), passageOf("against", -1, 0, 0))

	for _, test := range []struct {
		threshold float64
		want      []string
	}{
		{-1, []string{"same", "near", "across", "against"}},
		{0, []string{"same", "near", "across"}},
		{0.5, []string{"same", "near"}},
		{1, []string{"same"}},
	} {
		wantContents(t, nearest(t, ctx, s, c, vector.Query{Threshold: test.threshold}), test.want...)
	}
}

func searchListsFurtherPlaces(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "also in")
	shared := passageOf("shared", 1, 0, 0)
	a := publishDocument(t, ctx, s, uploadOf(c, "a"), shared, passageOf("own", 1, 1, 0), shared)
	b := publishDocument(t, ctx, s, uploadOf(c, "b"), passageOf("other", 0, 1, 0), shared)

	hits := nearest(t, ctx, s, c, vector.Query{})
	wantContents(t, hits, "shared", "own", "other")
	places := append([]document.Citation{{
		DocumentID: hits[0].DocumentID, Key: hits[0].Key, Start: hits[0].Start, End: hits[0].End,
	}}, hits[0].AlsoIn...)
	want := map[document.Citation]bool{
		{DocumentID: a.Document.ID, Key: "a", Start: 0, End: 6}:   true,
		{DocumentID: a.Document.ID, Key: "a", Start: 11, End: 17}: true,
		{DocumentID: b.Document.ID, Key: "b", Start: 6, End: 12}:  true,
	}
	got := map[document.Citation]bool{}
	for _, place := range places {
		got[place] = true
	}
	if diff := cmp.Diff(want, got); diff != "" || len(places) != len(want) {
		t.Errorf("places %v (-want +got):\n%s", places, diff)
	}
	for _, hit := range hits[1:] {
		if hit.AlsoIn == nil || len(hit.AlsoIn) > 0 {
			t.Errorf("%q, which stands in one place, is also in %#v", hit.Content, hit.AlsoIn)
		}
	}
}

func searchListsAtMostTenFurtherPlaces(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "also in many")
	var same []vector.EmbeddedPassage
	for range 15 {
		same = append(same, passageOf("same", 1, 0, 0))
	}
	publishDocument(t, ctx, s, uploadOf(c, "a"), same...)
	publishDocument(t, ctx, s, uploadOf(c, "b"), passageOf("next", 1, 1, 0))

	hits := nearest(t, ctx, s, c, vector.Query{Limit: 2})
	wantContents(t, hits, "same", "next")
	if got := len(hits[0].AlsoIn); got != 10 {
		t.Errorf("got %d further places, want 10", got)
	}
}

func searchOrdersTiesTheSameWay(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "ties")
	var passages []vector.EmbeddedPassage
	for i := range 20 {
		passages = append(passages, passageOf(fmt.Sprint("tie ", i), 1, 0, 0))
	}
	publishDocument(t, ctx, s, uploadOf(c, "a"), passages...)

	all := contents(nearest(t, ctx, s, c, vector.Query{}))
	if len(all) != len(passages) {
		t.Fatalf("got %d hits, want %d", len(all), len(passages))
	}
	for limit := 1; limit < len(all); limit += 6 {
		wantContents(t, nearest(t, ctx, s, c, vector.Query{Limit: limit}), all[:limit]...)
	}
}

func searchSeesPublishedVersionsOnly(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "live")
	kept := passageOf("kept", 1, 0, 0)

	first := acceptUpload(t, ctx, s, uploadOf(c, "a"))
	work := claimTask(t, ctx, s, first.Job, task.KindKnowledge)
	progress := document.KnowledgeProgress{Passages: 2}
	if err := s.WriteBatch(ctx, work, batchOf(0, kept, passageOf("old", 1, 1, 0)), progress); err != nil {
		t.Fatal(err)
	}
	wantContents(t, nearest(t, ctx, s, c, vector.Query{})) // written, not published
	if err := s.Publish(ctx, work, nil, progress); err != nil {
		t.Fatal(err)
	}
	wantContents(t, nearest(t, ctx, s, c, vector.Query{}), "kept", "old")

	upload := uploadOf(c, "a")
	upload.Title = "Second title"
	upload.Metadata = json.RawMessage(`{"second": true}`)
	second := acceptUpload(t, ctx, s, upload)
	work = claimTask(t, ctx, s, second.Job, task.KindKnowledge)
	if err := s.WriteBatch(ctx, work, batchOf(0, passageOf("new", 1, 1, 0), kept), progress); err != nil {
		t.Fatal(err)
	}
	hits := nearest(t, ctx, s, c, vector.Query{})
	wantContents(t, hits, "kept", "old")
	if hits[0].Title != "Title of a" || len(hits[0].AlsoIn) > 0 {
		t.Errorf("while the second version is written: got title %q and further places %v", hits[0].Title, hits[0].AlsoIn)
	}
	wantContents(t, nearest(t, ctx, s, c, vector.Query{Metadata: json.RawMessage(`{"second": true}`)}))

	if err := s.Publish(ctx, work, nil, progress); err != nil {
		t.Fatal(err)
	}
	hits = nearest(t, ctx, s, c, vector.Query{})
	wantContents(t, hits, "kept", "new")
	if hits[0].Title != "Second title" || hits[0].Ordinal != 1 || len(hits[0].AlsoIn) > 0 {
		t.Errorf("once the second version is live: got title %q, ordinal %d, further places %v", hits[0].Title, hits[0].Ordinal, hits[0].AlsoIn)
	}
	wantContents(t, nearest(t, ctx, s, c, vector.Query{Metadata: json.RawMessage(`{"second": true}`)}), "kept", "new")
}

func searchSkipsDeletedDocuments(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "deleted")
	shared := passageOf("shared", 1, 0, 0)
	gone := publishDocument(t, ctx, s, uploadOf(c, "a"), shared, passageOf("gone", 1, 1, 0))
	publishDocument(t, ctx, s, uploadOf(c, "b"), shared)
	if err := s.DeleteDocument(ctx, gone.Document.ID); err != nil {
		t.Fatal(err)
	}
	hits := nearest(t, ctx, s, c, vector.Query{})
	wantContents(t, hits, "shared")
	if hits[0].Key != "b" || len(hits[0].AlsoIn) > 0 {
		t.Errorf("got a hit in %q and %v, want it in b only", hits[0].Key, hits[0].AlsoIn)
	}
}

// A vector of zeros points nowhere: its cosine with another is not a number,
// which JSON cannot even write.
func searchPassesOverZeroVectors(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "zero")
	publishDocument(t, ctx, s, uploadOf(c, "a"), passageOf("nowhere", 0, 0, 0), passageOf("against", -1, 0, 0))
	wantContents(t, nearest(t, ctx, s, c, vector.Query{Threshold: -1}), "against")
	wantContents(t, nearest(t, ctx, s, c, vector.Query{Threshold: -1, Limit: 1}), "against")

	hits, err := s.NearestPassages(ctx, c.ActiveSpace, vector.Query{Collection: c.Name, Vector: []float32{0, 0, 0}, Limit: 10, Threshold: -1})
	if err != nil || hits == nil || len(hits) > 0 {
		t.Errorf("search for nowhere: got %v, %v, want an empty list", hits, err)
	}
}

func searchRefusesVectorsOfAnotherLength(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "wrong length")
	publishDocument(t, ctx, s, uploadOf(c, "a"), passageOf("one", 1, 0, 0))
	for _, length := range []int{0, 2, 4} {
		_, err := s.NearestPassages(ctx, c.ActiveSpace, vector.Query{Collection: c.Name, Vector: make([]float32, length), Limit: 1})
		wantFault(t, err, fault.BadRequest)
	}
}

func searchKeepsCollectionsApart(t *testing.T, ctx context.Context, s Store) {
	one, two := ensureCollection(t, ctx, s, "apart one"), ensureCollection(t, ctx, s, "apart two")
	shared := passageOf("shared", 1, 0, 0)
	publishDocument(t, ctx, s, uploadOf(one, "a"), shared, passageOf("in one", 1, 1, 0))
	publishDocument(t, ctx, s, uploadOf(two, "a"), shared, passageOf("in two", 1, 1, 0))
	hits := nearest(t, ctx, s, one, vector.Query{})
	wantContents(t, hits, "shared", "in one")
	if len(hits[0].AlsoIn) > 0 {
		t.Errorf("got further places %v in another collection", hits[0].AlsoIn)
	}
	wantContents(t, nearest(t, ctx, s, two, vector.Query{}), "shared", "in two")
}

func searchKeepsTenantsApart(t *testing.T, ctx context.Context, s Store) {
	ours := ensureCollection(t, ctx, s, "tenants")
	publishDocument(t, ctx, s, uploadOf(ours, "a"), passageOf("ours", 1, 0, 0))
	other := tenantContext(t, OtherTenant)
	theirs := ensureCollection(t, other, s, "tenants")
	publishDocument(t, other, s, uploadOf(theirs, "a"), passageOf("theirs", 1, 0, 0))

	wantContents(t, nearest(t, ctx, s, ours, vector.Query{}), "ours")
	wantContents(t, nearest(t, other, s, theirs, vector.Query{}), "theirs")
	for _, test := range []struct {
		ctx context.Context
		c   vector.Collection
	}{{other, ours}, {ctx, theirs}} { // even with the other's space in hand
		hits, err := s.NearestPassages(test.ctx, test.c.ActiveSpace, vector.Query{Collection: "tenants", Vector: []float32{1, 0, 0}, Limit: 10})
		if len(hits) > 0 || err != nil && !fault.Is(err, fault.Conflict) {
			t.Errorf("got %v, %v, want nothing", hits, err)
		}
	}

	if _, err := s.NearestPassages(t.Context(), ours.ActiveSpace, vector.Query{Vector: []float32{1, 0, 0}, Limit: 1}); err == nil {
		t.Error("search without a tenant succeeded")
	}
}
