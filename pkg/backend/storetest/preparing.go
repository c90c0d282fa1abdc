package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
	"github.com/seed-7a112592/gristmill/pkg/tenant"
)

// What is dropped is all that there is of a tenant, so each test has its own
// store.
func preparing(t *testing.T, open func(t *testing.T) Store) {
	for name, test := range map[string]func(*testing.T, context.Context, Store){
		"Unknown length":      preparesASpaceOfUnknownLength,
		"Searched":            searchesASpaceOfUnknownLength,
		"Empty":               replacesAnEmptySpace,
		"Placed":              replacesNoSpaceThatHoldsPassages,
		"No passages":         keepsVersionsWithoutPassages,
		"Published meanwhile": publishesNothingInAReplacedSpace,
		"At once":             preparesOneSpaceAtOnce,
		"Other at once":       preparesForOthersAtOnce,
		"Reindexed":           replacesNoSpaceOfAReindex,
		"Being built":         takesUpTheSpaceThatIsBuilt,
		"Redone":              replacesASpaceWhileItsDocumentsAreRedone,
		"Stale":               preparesNothingForAStaleWorker,
	} {
		t.Run(name, func(t *testing.T) { test(t, as(t, tenant.Default), open(t)) })
	}
}

var (
	learnt       = document.Model{Name: "learnt-model", Dimensions: 4}
	learntPieces = document.Chunking{Tokens: 300, Overlap: 20}
)

// ensureUnknown returns a collection whose vectors have no length yet.
func ensureUnknown(t *testing.T, ctx context.Context, s Store, name string) document.Collection {
	t.Helper()
	c, err := s.EnsureCollection(ctx, name, document.Model{Name: "first-model"}, document.Chunking{Tokens: 400})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// prepare has the work's collection take a model and chunking, if it may, and
// returns the work as it is then.
func prepare(t *testing.T, ctx context.Context, s Store, work document.Work, model document.Model) document.Work {
	t.Helper()
	prepared, err := s.PrepareSpace(ctx, work, model, learntPieces)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(work.TaskRef, prepared.TaskRef); diff != "" || prepared.Lease != work.Lease {
		t.Errorf("prepared another task:\n%s", diff)
	}
	return prepared
}

func wantSpace(t *testing.T, when string, got document.Space, model document.Model, chunking document.Chunking) {
	t.Helper()
	if got.Model != model || got.Chunking != chunking {
		t.Errorf("%s: the space is %+v, want one of %+v and %+v", when, got, model, chunking)
	}
}

// publishIn does the rest of a knowledge task, in the live space of the work.
func publishIn(ctx context.Context, s Store, work document.Work, texts ...string) error {
	if _, err := writeIn(ctx, s, work.Space, work, texts...); err != nil {
		return err
	}
	return s.Publish(ctx, work, nil, document.KnowledgeProgress{Passages: int64(len(texts))})
}

func preparesASpaceOfUnknownLength(t *testing.T, ctx context.Context, s Store) {
	c := ensureUnknown(t, ctx, s, "c")
	wantSpace(t, "made", c.Space, document.Model{Name: "first-model"}, document.Chunking{Tokens: 400})
	if again := ensureUnknown(t, ctx, s, "c"); !c.Unsettled || again != c {
		t.Errorf("got collection %+v and then %+v, want the same and unsettled", c, again)
	}
	work := begin(t, ctx, s, c, "a")
	if !work.Unsettled || work.Space != c.Space {
		t.Errorf("claimed %+v, want it in the unsettled space %+v", work, c.Space)
	}
	work = prepare(t, ctx, s, work, learnt)
	wantSpace(t, "prepared", work.Space, learnt, learntPieces)
	if again := prepare(t, ctx, s, work, learnt); again.Space != work.Space {
		t.Errorf("prepared again the space is %+v, was %+v", again.Space, work.Space)
	}
	if err := publishIn(ctx, s, work, "one", "two"); err != nil {
		t.Fatal(err)
	}
	wantFound(t, ctx, s, "published", c, "one", "two")
	if now := live(t, ctx, s, c); now.Unsettled || now.Space != work.Space {
		t.Errorf("the collection is %+v, want it settled in %+v", now, work.Space)
	}
	if next := begin(t, ctx, s, c, "b"); next.Unsettled || next.Space != work.Space || len(next.Also) > 0 {
		t.Errorf("the next work is %+v, want it settled in %+v alone", next, work.Space)
	}
	if dropSpaces(t, ctx, s) == 0 {
		t.Error("the space of unknown length stays")
	}
	wantFound(t, ctx, s, "dropped", c, "one", "two")
}

func searchesASpaceOfUnknownLength(t *testing.T, ctx context.Context, s Store) {
	c := ensureUnknown(t, ctx, s, "c")
	accept(t, ctx, s, uploadOf(c, "a"))
	query := document.Query{Collection: c.Name, Limit: 10, Threshold: -1}
	hits, err := s.Nearest(ctx, c.Space, query)
	if err != nil || hits == nil || len(hits) > 0 {
		t.Errorf("found %v, %v; want no hits", hits, err)
	}
	prepare(t, ctx, s, begin(t, ctx, s, c, "b"), learnt)
	_, err = s.Nearest(ctx, c.Space, query)
	wantFault(t, err, fault.Conflict)
	wantFound(t, ctx, s, "prepared", c)
}

// The first configuration was wrong, or another one is wanted by now.
func replacesAnEmptySpace(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "c")
	work := begin(t, ctx, s, c, "a")
	for _, model := range []document.Model{learnt, {Name: c.Space.Model.Name, Dimensions: 2}, learnt} {
		work = prepare(t, ctx, s, work, model)
		wantSpace(t, "replaced", work.Space, model, learntPieces)
		if len(work.Also) > 0 || !work.Unsettled {
			t.Errorf("the work is %+v, want it in an unsettled space and no other", work)
		}
	}
	if err := publishIn(ctx, s, work, "one"); err != nil {
		t.Fatal(err)
	}
	wantFound(t, ctx, s, "replaced", c, "one")

	// A collection that is empty again follows too.
	if err := s.DeleteDocument(ctx, work.Document); err != nil {
		t.Fatal(err)
	}
	collectVersion(t, ctx, s, work.Document, work.Version)
	collectPassages(t, ctx, s)
	wantSpace(t, "empty again", prepare(t, ctx, s, begin(t, ctx, s, c, "b"), c.Space.Model).Space, c.Space.Model, learntPieces)
}

// Passages are paid for, whether they stand anywhere or not.
func replacesNoSpaceThatHoldsPassages(t *testing.T, ctx context.Context, s Store) {
	for name, write := range map[string]func(c document.Collection){
		"live": func(c document.Collection) { publishTexts(t, ctx, s, c, "a", "one") },
		"attempted": func(c document.Collection) {
			write(t, ctx, s, begin(t, ctx, s, c, "a"), batchOf(0, passagesIn(c.Space, "one")...), document.KnowledgeProgress{})
		},
		"bought": func(c document.Collection) {
			write(t, ctx, s, begin(t, ctx, s, c, "a"), document.Batch{New: passagesIn(c.Space, "one")}, document.KnowledgeProgress{})
		},
	} {
		c := ensure(t, ctx, s, name)
		write(c)
		if work := prepare(t, ctx, s, begin(t, ctx, s, c, "b"), learnt); work.Space != c.Space {
			t.Errorf("%s: the space is %+v, was %+v", name, work.Space, c.Space)
		}
	}
}

// A document of nothing but front matter is whole in the new space as it was in
// the old one.
func keepsVersionsWithoutPassages(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "c")
	publishTexts(t, ctx, s, c, "front matter")
	work := prepare(t, ctx, s, begin(t, ctx, s, c, "a"), learnt)
	wantSpace(t, "replaced", work.Space, learnt, learntPieces)
	if err := publishIn(ctx, s, work, "one"); err != nil {
		t.Fatal(err)
	}
	redo := startReindex(t, ctx, s, document.ReindexRequest{Collection: c.Name})
	if requeued, err := s.Requeue(ctx, redo, 10); err != nil || requeued.Jobs > 0 || !requeued.Ended {
		t.Errorf("requeued %+v, %v; want nothing to be redone", requeued, err)
	}
}

// A worker that has another model in mind has written to the space before.
func publishesNothingInAReplacedSpace(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "c")
	late := begin(t, ctx, s, c, "late")
	work := prepare(t, ctx, s, begin(t, ctx, s, c, "a"), learnt)
	wantFault(t, publishIn(ctx, s, late, "of the old model"), fault.Unavailable)
	wantFound(t, ctx, s, "not published", c)
	if err := publishIn(ctx, s, work, "one"); err != nil {
		t.Fatal(err)
	}
	if err := s.Settle(ctx, late, document.Outcome{Verdict: document.VerdictWait, Delay: -time.Second}); err != nil {
		t.Fatal(err)
	}
	again, err := s.Claim(ctx, late.TaskRef, leaseTime)
	if err != nil {
		t.Fatal(err)
	}
	if again = prepare(t, ctx, s, again, c.Space.Model); again.Space != work.Space {
		t.Errorf("the space is %+v, want that of the first passages %+v", again.Space, work.Space)
	}
	if err := publishIn(ctx, s, again, "late"); err != nil {
		t.Fatal(err)
	}
	wantFound(t, ctx, s, "published", c, "late", "one")
}

func preparesOneSpaceAtOnce(t *testing.T, ctx context.Context, s Store) {
	const workers = 6
	c := ensureUnknown(t, ctx, s, "c")
	works := make([]document.Work, workers)
	for i := range works {
		works[i] = begin(t, ctx, s, c, fmt.Sprint(i))
	}
	together(t, workers, func(i int) (err error) {
		if works[i], err = s.PrepareSpace(ctx, works[i], learnt, learntPieces); err != nil {
			return err
		}
		return publishIn(ctx, s, works[i], fmt.Sprint("text ", i))
	})
	for i, work := range works {
		wantSpace(t, fmt.Sprint(i), work.Space, learnt, learntPieces)
		if work.Space != works[0].Space {
			t.Errorf("workers prepared spaces %+v and %+v", works[0].Space, work.Space)
		}
	}
	wantFound(t, ctx, s, "published", c, "text 0", "text 1", "text 2", "text 3", "text 4", "text 5")
}

// Workers with different configurations: what is published is published in one
// space, and the others are told to try again.
func preparesForOthersAtOnce(t *testing.T, ctx context.Context, s Store) {
	const workers = 6
	c := ensureUnknown(t, ctx, s, "c")
	works := make([]document.Work, workers)
	for i := range works {
		works[i] = begin(t, ctx, s, c, fmt.Sprint(i))
	}
	together(t, workers, func(i int) error {
		model := document.Model{Name: fmt.Sprint("model ", i%2), Dimensions: 2 + i%2}
		work, err := s.PrepareSpace(ctx, works[i], model, learntPieces)
		if err != nil {
			return err
		}
		if err := publishIn(ctx, s, work, fmt.Sprint("text ", i)); !fault.Is(err, fault.Unavailable) {
			return err
		}
		return nil
	})
	now := live(t, ctx, s, c)
	found, err := searchAll(ctx, s, now)
	if err != nil || len(found) == 0 {
		t.Errorf("found %q, %v; want what was published", found, err)
	}
	ready, err := s.Documents(ctx, document.DocumentFilter{Collection: c.Name, State: document.Ready}, document.Page{Limit: workers})
	if err != nil || len(ready.Items) != len(found) {
		t.Errorf("%d documents are ready, %v; %q are found", len(ready.Items), err, found)
	}
}

// The model of a reindex stays, whatever is configured.
func replacesNoSpaceOfAReindex(t *testing.T, ctx context.Context, s Store) {
	c := ensureUnknown(t, ctx, s, "c")
	_, err := s.BeginReindex(ctx, document.ReindexRequest{Collection: c.Name, Model: document.Model{Name: "of no length"}})
	wantFault(t, err, fault.BadRequest)

	waiting := begin(t, ctx, s, c, "waiting")
	done := change(t, ctx, s, anotherModel(c), leaseTime)
	now := live(t, ctx, s, c)
	wantSpace(t, "reindexed", now.Space, anotherModel(c).Model, c.Space.Chunking)
	if now.Unsettled {
		t.Error("what a reindex has built is unsettled")
	}
	if work := prepare(t, ctx, s, waiting, learnt); work.Space != now.Space || work.Unsettled || len(work.Also) > 0 {
		t.Errorf("the work is %+v, want it in %+v alone", work, now.Space)
	}
	wantRefused(t, ctx, s, "nothing to go back to", done.ID, "revert")
	if dropSpaces(t, ctx, s) == 0 {
		t.Error("the space of unknown length stays")
	}
}

func takesUpTheSpaceThatIsBuilt(t *testing.T, ctx context.Context, s Store) {
	c := ensureUnknown(t, ctx, s, "c")
	reindex := startReindex(t, ctx, s, document.ReindexRequest{
		Collection: c.Name, Model: learnt, Tokens: learntPieces.Tokens, Overlap: &learntPieces.Overlap,
	})
	work := begin(t, ctx, s, c, "a")
	if len(work.Also) != 1 || work.Also[0] != reindex.Space {
		t.Fatalf("the work is %+v, want it in %+v too", work, reindex.Space)
	}
	work = prepare(t, ctx, s, work, learnt)
	if work.Space != reindex.Space || len(work.Also) > 0 {
		t.Errorf("the work is %+v, want it in %+v alone", work, reindex.Space)
	}
	if err := publishIn(ctx, s, work, "one"); err != nil {
		t.Fatal(err)
	}
	if done := finish(t, ctx, s, reindex, leaseTime); done.State != document.Succeeded {
		t.Errorf("the reindex is %+v, want it succeeded", done)
	}
	dropSpaces(t, ctx, s)
	wantFound(t, ctx, s, "reindexed", c, "one")
}

// Documents that failed for the first configuration are redone with another.
func replacesASpaceWhileItsDocumentsAreRedone(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "c")
	failed := accept(t, ctx, s, uploadOf(c, "a"))
	fail(t, ctx, s, failed.Job)
	redo := startReindex(t, ctx, s, document.ReindexRequest{Collection: c.Name})
	if requeued, err := s.Requeue(ctx, redo, 10); err != nil || requeued.Jobs != 1 {
		t.Fatalf("requeued %+v, %v; want the one that failed", requeued, err)
	}
	job := failed.Job
	job.Version++
	work := prepare(t, ctx, s, claim(t, ctx, s, job, document.Knowledge), learnt)
	wantSpace(t, "replaced", work.Space, learnt, learntPieces)
	if err := publishIn(ctx, s, work, "one"); err != nil {
		t.Fatal(err)
	}
	summarise(t, ctx, s, job, "Summary")
	if requeued, err := s.Requeue(ctx, redo, 10); err != nil || !requeued.Ended {
		t.Errorf("requeued %+v, %v; want an end", requeued, err)
	}
	wantFound(t, ctx, s, "redone", c, "one")
}

func preparesNothingForAStaleWorker(t *testing.T, ctx context.Context, s Store) {
	c := ensureUnknown(t, ctx, s, "c")
	work := begin(t, ctx, s, c, "a")
	if err := s.Settle(ctx, work, document.Outcome{Verdict: document.VerdictWait}); err != nil {
		t.Fatal(err)
	}
	_, err := s.PrepareSpace(ctx, work, learnt, learntPieces)
	wantFault(t, err, fault.LeaseLost)
	if now := live(t, ctx, s, c); now != c {
		t.Errorf("the collection is %+v, was %+v", now, c)
	}
}
