package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/garbage"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
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
		"Being built":         reusesTheSpaceBeingBuilt,
		"Being built, ended":  keepsTheActiveSpaceOfAReindex,
		"Redone":              replacesASpaceWhileItsDocumentsAreRedone,
		"Stale":               preparesNothingForAStaleWorker,
	} {
		t.Run(name, func(t *testing.T) { test(t, tenantContext(t, tenant.Default), open(t)) })
	}
}

var (
	learnt       = document.Model{Name: "learnt-model", Dimensions: 4}
	learntPieces = document.Chunking{Tokens: 300, Overlap: 20}
)

// ensureUnknownDimensions returns a collection whose vectors have no length yet.
func ensureUnknownDimensions(t *testing.T, ctx context.Context, s Store, name string) vector.Collection {
	t.Helper()
	c, err := s.EnsureCollection(ctx, name, document.Model{Name: "first-model"}, document.Chunking{Tokens: 400})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// prepareSpace has the work's collection take a model and chunking, if it may, and
// returns the work as it is then.
func prepareSpace(t *testing.T, ctx context.Context, s Store, work task.Work, model document.Model) task.Work {
	t.Helper()
	prepared, err := s.PrepareSpace(ctx, work, model, learntPieces)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(work.Ref, prepared.Ref); diff != "" || prepared.Lease != work.Lease {
		t.Errorf("prepared another task:\n%s", diff)
	}
	return prepared
}

func wantSpace(t *testing.T, when string, got vector.Space, model document.Model, chunking document.Chunking) {
	t.Helper()
	if got.Model != model || got.Chunking != chunking {
		t.Errorf("%s: the space is %+v, want one of %+v and %+v", when, got, model, chunking)
	}
}

// publishWork does the rest of a knowledge task, in the live space of the work.
func publishWork(ctx context.Context, s Store, work task.Work, texts ...string) error {
	if _, err := writeInSpace(ctx, s, work.Space, work, texts...); err != nil {
		return err
	}
	return s.Publish(ctx, work, nil, document.KnowledgeProgress{Passages: int64(len(texts))})
}

func preparesASpaceOfUnknownLength(t *testing.T, ctx context.Context, s Store) {
	c := ensureUnknownDimensions(t, ctx, s, "c")
	wantSpace(t, "made", c.ActiveSpace, document.Model{Name: "first-model"}, document.Chunking{Tokens: 400})
	if again := ensureUnknownDimensions(t, ctx, s, "c"); !c.SpaceReplaceable || again != c {
		t.Errorf("got collection %+v and then %+v, want the same and unsettled", c, again)
	}
	work := beginKnowledge(t, ctx, s, c, "a")
	if !work.SpaceReplaceable || work.Space != c.ActiveSpace {
		t.Errorf("claimed %+v, want it in the unsettled space %+v", work, c.ActiveSpace)
	}
	work = prepareSpace(t, ctx, s, work, learnt)
	wantSpace(t, "prepared", work.Space, learnt, learntPieces)
	if again := prepareSpace(t, ctx, s, work, learnt); again.Space != work.Space {
		t.Errorf("prepared again the space is %+v, was %+v", again.Space, work.Space)
	}
	if err := publishWork(ctx, s, work, "one", "two"); err != nil {
		t.Fatal(err)
	}
	wantHits(t, ctx, s, "published", c, "one", "two")
	if now := readCollection(t, ctx, s, c); now.SpaceReplaceable || now.ActiveSpace != work.Space {
		t.Errorf("the collection is %+v, want it settled in %+v", now, work.Space)
	}
	if next := beginKnowledge(t, ctx, s, c, "b"); next.SpaceReplaceable || next.Space != work.Space || len(next.OtherSpaces) > 0 {
		t.Errorf("the next work is %+v, want it settled in %+v alone", next, work.Space)
	}
	if collectSpaces(t, ctx, s) == 0 {
		t.Error("the space of unknown length stays")
	}
	wantHits(t, ctx, s, "dropped", c, "one", "two")
}

func searchesASpaceOfUnknownLength(t *testing.T, ctx context.Context, s Store) {
	c := ensureUnknownDimensions(t, ctx, s, "c")
	acceptUpload(t, ctx, s, uploadOf(c, "a"))
	query := vector.Query{Collection: c.Name, Limit: 10, Threshold: -1}
	hits, err := s.NearestPassages(ctx, c.ActiveSpace, query)
	if err != nil || hits == nil || len(hits) > 0 {
		t.Errorf("found %v, %v; want no hits", hits, err)
	}
	prepareSpace(t, ctx, s, beginKnowledge(t, ctx, s, c, "b"), learnt)
	_, err = s.NearestPassages(ctx, c.ActiveSpace, query)
	wantFault(t, err, fault.Conflict)
	wantHits(t, ctx, s, "prepared", c)
}

// The first configuration was wrong, or another one is wanted by now.
func replacesAnEmptySpace(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "c")
	work := beginKnowledge(t, ctx, s, c, "a")
	for _, model := range []document.Model{learnt, {Name: c.ActiveSpace.Model.Name, Dimensions: 2}, learnt} {
		work = prepareSpace(t, ctx, s, work, model)
		wantSpace(t, "replaced", work.Space, model, learntPieces)
		if len(work.OtherSpaces) > 0 || !work.SpaceReplaceable {
			t.Errorf("the work is %+v, want it in an unsettled space and no other", work)
		}
	}
	if err := publishWork(ctx, s, work, "one"); err != nil {
		t.Fatal(err)
	}
	wantHits(t, ctx, s, "replaced", c, "one")

	// A collection that is empty again follows too.
	if err := s.DeleteDocument(ctx, work.DocumentID); err != nil {
		t.Fatal(err)
	}
	collectVersion(t, ctx, s, work.DocumentID, work.Version)
	collectPassages(t, ctx, s)
	wantSpace(t, "empty again", prepareSpace(t, ctx, s, beginKnowledge(t, ctx, s, c, "b"), c.ActiveSpace.Model).Space, c.ActiveSpace.Model, learntPieces)
}

// Passages are paid for, whether they stand anywhere or not.
func replacesNoSpaceThatHoldsPassages(t *testing.T, ctx context.Context, s Store) {
	for name, write := range map[string]func(c vector.Collection){
		"live": func(c vector.Collection) { publishTexts(t, ctx, s, c, "a", "one") },
		"attempted": func(c vector.Collection) {
			writeBatch(t, ctx, s, beginKnowledge(t, ctx, s, c, "a"), batchOf(0, passagesIn(c.ActiveSpace, "one")...), document.KnowledgeProgress{})
		},
		"bought": func(c vector.Collection) {
			writeBatch(t, ctx, s, beginKnowledge(t, ctx, s, c, "a"), vector.Batch{New: passagesIn(c.ActiveSpace, "one")}, document.KnowledgeProgress{})
		},
	} {
		c := ensureCollection(t, ctx, s, name)
		write(c)
		if work := prepareSpace(t, ctx, s, beginKnowledge(t, ctx, s, c, "b"), learnt); work.Space != c.ActiveSpace {
			t.Errorf("%s: the space is %+v, was %+v", name, work.Space, c.ActiveSpace)
		}
	}
}

// A document of nothing but front matter is whole in the new space as it was in
// the old one.
func keepsVersionsWithoutPassages(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "c")
	publishTexts(t, ctx, s, c, "front matter")
	work := prepareSpace(t, ctx, s, beginKnowledge(t, ctx, s, c, "a"), learnt)
	wantSpace(t, "replaced", work.Space, learnt, learntPieces)
	if err := publishWork(ctx, s, work, "one"); err != nil {
		t.Fatal(err)
	}
	redo := startReindex(t, ctx, s, document.ReindexRequest{Collection: c.Name})
	if requeued, err := s.RequeueDocuments(ctx, redo, 10); err != nil || requeued.Jobs > 0 || !requeued.Ended {
		t.Errorf("requeued %+v, %v; want nothing to be redone", requeued, err)
	}
}

// A worker that has another model in mind has written to the space before.
func publishesNothingInAReplacedSpace(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "c")
	late := beginKnowledge(t, ctx, s, c, "late")
	work := prepareSpace(t, ctx, s, beginKnowledge(t, ctx, s, c, "a"), learnt)
	wantFault(t, publishWork(ctx, s, late, "of the old model"), fault.Unavailable)
	wantHits(t, ctx, s, "not published", c)
	if err := publishWork(ctx, s, work, "one"); err != nil {
		t.Fatal(err)
	}
	if err := s.RecordOutcome(ctx, late, task.Outcome{Verdict: task.VerdictWait, Delay: -time.Second}); err != nil {
		t.Fatal(err)
	}
	again, err := s.Claim(ctx, late.Ref, leaseTime)
	if err != nil {
		t.Fatal(err)
	}
	if again = prepareSpace(t, ctx, s, again, c.ActiveSpace.Model); again.Space != work.Space {
		t.Errorf("the space is %+v, want that of the first passages %+v", again.Space, work.Space)
	}
	if err := publishWork(ctx, s, again, "late"); err != nil {
		t.Fatal(err)
	}
	wantHits(t, ctx, s, "published", c, "late", "one")
}

func preparesOneSpaceAtOnce(t *testing.T, ctx context.Context, s Store) {
	const workers = 6
	c := ensureUnknownDimensions(t, ctx, s, "c")
	works := make([]task.Work, workers)
	for i := range works {
		works[i] = beginKnowledge(t, ctx, s, c, fmt.Sprint(i))
	}
	concurrently(t, workers, func(i int) (err error) {
		if works[i], err = s.PrepareSpace(ctx, works[i], learnt, learntPieces); err != nil {
			return err
		}
		return publishWork(ctx, s, works[i], fmt.Sprint("text ", i))
	})
	for i, work := range works {
		wantSpace(t, fmt.Sprint(i), work.Space, learnt, learntPieces)
		if work.Space != works[0].Space {
			t.Errorf("workers prepared spaces %+v and %+v", works[0].Space, work.Space)
		}
	}
	wantHits(t, ctx, s, "published", c, "text 0", "text 1", "text 2", "text 3", "text 4", "text 5")
}

// Workers with different configurations: what is published is published in one
// space, and the others are told to try again.
func preparesForOthersAtOnce(t *testing.T, ctx context.Context, s Store) {
	const workers = 6
	c := ensureUnknownDimensions(t, ctx, s, "c")
	works := make([]task.Work, workers)
	for i := range works {
		works[i] = beginKnowledge(t, ctx, s, c, fmt.Sprint(i))
	}
	concurrently(t, workers, func(i int) error {
		model := document.Model{Name: fmt.Sprint("model ", i%2), Dimensions: 2 + i%2}
		work, err := s.PrepareSpace(ctx, works[i], model, learntPieces)
		if err != nil {
			return err
		}
		if err := publishWork(ctx, s, work, fmt.Sprint("text ", i)); !fault.Is(err, fault.Unavailable) {
			return err
		}
		return nil
	})
	now := readCollection(t, ctx, s, c)
	found, err := searchAll(ctx, s, now)
	if err != nil || len(found) == 0 {
		t.Errorf("found %q, %v; want what was published", found, err)
	}
	ready, err := s.Documents(ctx, document.DocumentFilter{Collection: c.Name, State: document.DocumentReady}, document.Page{Limit: workers})
	if err != nil || len(ready.Items) != len(found) {
		t.Errorf("%d documents are ready, %v; %q are found", len(ready.Items), err, found)
	}
}

// The model of a reindex stays, whatever is configured.
func replacesNoSpaceOfAReindex(t *testing.T, ctx context.Context, s Store) {
	c := ensureUnknownDimensions(t, ctx, s, "c")
	_, err := s.BeginReindex(ctx, document.ReindexRequest{Collection: c.Name, Model: document.Model{Name: "of no length"}})
	wantFault(t, err, fault.BadRequest)

	waiting := beginKnowledge(t, ctx, s, c, "waiting")
	done := runReindex(t, ctx, s, changeModelRequest(c), leaseTime)
	now := readCollection(t, ctx, s, c)
	wantSpace(t, "reindexed", now.ActiveSpace, changeModelRequest(c).Model, c.ActiveSpace.Chunking)
	if now.SpaceReplaceable {
		t.Error("what a reindex has built is unsettled")
	}
	if work := prepareSpace(t, ctx, s, waiting, learnt); work.Space != now.ActiveSpace || work.SpaceReplaceable || len(work.OtherSpaces) > 0 {
		t.Errorf("the work is %+v, want it in %+v alone", work, now.ActiveSpace)
	}
	wantRefused(t, ctx, s, "nothing to go back to", done.ID, "revert")
	if collectSpaces(t, ctx, s) == 0 {
		t.Error("the space of unknown length stays")
	}
}

func reusesTheSpaceBeingBuilt(t *testing.T, ctx context.Context, s Store) {
	c := ensureUnknownDimensions(t, ctx, s, "c")
	reindex := startReindex(t, ctx, s, document.ReindexRequest{
		Collection: c.Name, Model: learnt, Tokens: learntPieces.Tokens, Overlap: &learntPieces.Overlap,
	})
	work := beginKnowledge(t, ctx, s, c, "a")
	if len(work.OtherSpaces) != 1 || work.OtherSpaces[0] != reindex.Space {
		t.Fatalf("the work is %+v, want it in %+v too", work, reindex.Space)
	}
	work = prepareSpace(t, ctx, s, work, learnt)
	if work.Space != reindex.Space || len(work.OtherSpaces) > 0 {
		t.Errorf("the work is %+v, want it in %+v alone", work, reindex.Space)
	}
	if err := publishWork(ctx, s, work, "one"); err != nil {
		t.Fatal(err)
	}
	if done := activateSpace(t, ctx, s, reindex, leaseTime); done.State != document.JobSucceeded {
		t.Errorf("the reindex is %+v, want it succeeded", done)
	}
	collectSpaces(t, ctx, s)
	wantHits(t, ctx, s, "reindexed", c, "one")
}

// A space that became the active one while a reindex was building it stays, whatever
// happens to the reindex.
func keepsTheActiveSpaceOfAReindex(t *testing.T, ctx context.Context, s Store) {
	for name, end := range map[string]func(work task.Work){
		"paused": func(work task.Work) {
			controlReindex(t, ctx, s, s.PauseReindex, work.JobID)
			controlReindex(t, ctx, s, s.ResumeReindex, work.JobID)
			activateSpace(t, ctx, s, claimReindex(t, ctx, s, work.JobID), 0)
		},
		"cancelled": func(work task.Work) { cancelReindex(t, ctx, s, work.JobID, 0) },
		"failed": func(work task.Work) {
			recordOutcome(t, ctx, s, work, task.Outcome{Verdict: task.VerdictFail, Error: "broken"})
		},
	} {
		c := ensureUnknownDimensions(t, ctx, s, name)
		reindex := startReindex(t, ctx, s, document.ReindexRequest{
			Collection: c.Name, Model: learnt, Tokens: learntPieces.Tokens, Overlap: &learntPieces.Overlap,
		})
		work := prepareSpace(t, ctx, s, beginKnowledge(t, ctx, s, c, "a"), learnt)
		if work.Space != reindex.Space {
			t.Fatalf("%s: the work is in %+v, want it in %+v", name, work.Space, reindex.Space)
		}
		if err := publishWork(ctx, s, work, "one "+name); err != nil {
			t.Fatal(err)
		}
		end(reindex)
		for _, g := range garbageOf(t, ctx, s, garbage.KindSpace, 48*time.Hour) {
			if g.SpaceID == work.Space.ID {
				t.Errorf("%s: the active space is listed for removal", name)
			}
		}
		wantHits(t, ctx, s, name, c, "one "+name)
	}
}

// Documents that failed for the first configuration are redone with another.
func replacesASpaceWhileItsDocumentsAreRedone(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "c")
	failed := acceptUpload(t, ctx, s, uploadOf(c, "a"))
	failJob(t, ctx, s, failed.Job)
	redo := startReindex(t, ctx, s, document.ReindexRequest{Collection: c.Name})
	if requeued, err := s.RequeueDocuments(ctx, redo, 10); err != nil || requeued.Jobs != 1 {
		t.Fatalf("requeued %+v, %v; want the one that failed", requeued, err)
	}
	job := failed.Job
	job.Version++
	work := prepareSpace(t, ctx, s, claimTask(t, ctx, s, job, task.KindKnowledge), learnt)
	wantSpace(t, "replaced", work.Space, learnt, learntPieces)
	if err := publishWork(ctx, s, work, "one"); err != nil {
		t.Fatal(err)
	}
	finishSummary(t, ctx, s, job, "Summary")
	if requeued, err := s.RequeueDocuments(ctx, redo, 10); err != nil || !requeued.Ended {
		t.Errorf("requeued %+v, %v; want an end", requeued, err)
	}
	wantHits(t, ctx, s, "redone", c, "one")
}

func preparesNothingForAStaleWorker(t *testing.T, ctx context.Context, s Store) {
	c := ensureUnknownDimensions(t, ctx, s, "c")
	work := beginKnowledge(t, ctx, s, c, "a")
	if err := s.RecordOutcome(ctx, work, task.Outcome{Verdict: task.VerdictWait}); err != nil {
		t.Fatal(err)
	}
	_, err := s.PrepareSpace(ctx, work, learnt, learntPieces)
	wantFault(t, err, fault.LeaseLost)
	if now := readCollection(t, ctx, s, c); now != c {
		t.Errorf("the collection is %+v, was %+v", now, c)
	}
}
