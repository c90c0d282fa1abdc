package storetest

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
	"github.com/seed-7a112592/gristmill/pkg/tenant"
)

// tenantsOfReindexes does for what concerns reindexes what tenants does for
// everything else.
func tenantsOfReindexes(t *testing.T, open func(t *testing.T) Store) {
	s := open(t)
	ours, theirs := as(t, tenant.Default), as(t, Other)
	c := ensure(t, ours, s, "c")
	a := publishTexts(t, ours, s, c, "a", "one", "two")
	b := publishTexts(t, ours, s, c, "b", "three")
	reindex := startReindex(t, ours, s, anotherModel(c))
	place(t, ours, s, reindex, wholeOf(a, passagesIn(reindex.Space, "one", "two")...))
	upload := begin(t, ours, s, c, "c")
	write(t, ours, s, in(reindex.Space, upload), batchOf(0, passagesIn(reindex.Space, "four")...), document.KnowledgeProgress{})
	redone := ensure(t, ours, s, "redone")
	publishTexts(t, ours, s, redone, "a", "one")
	redoing := startReindex(t, ours, s, document.ReindexRequest{Collection: redone.Name, Force: true})
	switched := ensure(t, ours, s, "switched")
	publishTexts(t, ours, s, switched, "a", "one")
	done := change(t, ours, s, anotherModel(switched), leaseTime)
	over := ensure(t, ours, s, "over")
	change(t, ours, s, anotherModel(over), 0)
	queued := beginReindex(t, ours, s, document.ReindexRequest{Collection: over.Name})
	before := stateOfReindexes(t, ours, s, c, reindex, a)

	for name, call := range map[string]func(ctx context.Context) error{
		"BeginReindex": func(ctx context.Context) error {
			_, err := s.BeginReindex(ctx, document.ReindexRequest{Collection: switched.Name})
			return err
		},
		"BeginReindex of a document": func(ctx context.Context) error {
			own := ensure(t, ctx, s, "own")
			_, err := s.BeginReindex(ctx, document.ReindexRequest{Collection: own.Name, Documents: []uuid.UUID{a.Document}})
			return err
		},
		"EstimateReindex": func(ctx context.Context) error {
			_, err := s.EstimateReindex(ctx, document.ReindexRequest{Collection: c.Name, Force: true})
			return err
		},
		"Reindex": func(ctx context.Context) error { _, err := s.Reindex(ctx, done.ID); return err },
		"Claim": func(ctx context.Context) error {
			_, err := s.Claim(ctx, reindexRef(t, ours, queued.ID), leaseTime)
			return err
		},
		"PauseReindex":  func(ctx context.Context) error { _, err := s.PauseReindex(ctx, queued.ID); return err },
		"ResumeReindex": func(ctx context.Context) error { _, err := s.ResumeReindex(ctx, queued.ID); return err },
		"CancelReindex": func(ctx context.Context) error { _, err := s.CancelReindex(ctx, queued.ID, 0); return err },
		"RevertReindex": func(ctx context.Context) error { _, err := s.RevertReindex(ctx, done.ID, 0); return err },
	} {
		t.Run(name, func(t *testing.T) { wantFault(t, call(theirs), fault.NotFound) })
	}

	progress := document.ReindexProgress{Documents: 99}
	for name, call := range map[string]func(ctx context.Context) error{
		"Renew": func(ctx context.Context) error { return s.Renew(ctx, reindex, -leaseTime) },
		"Settle": func(ctx context.Context) error {
			return s.Settle(ctx, reindex, document.Outcome{Verdict: document.VerdictFail})
		},
		"Rebuild":  func(ctx context.Context) error { _, err := s.Rebuild(ctx, reindex); return err },
		"Unplaced": func(ctx context.Context) error { _, err := s.Unplaced(ctx, reindex, uuid.Nil, 10); return err },
		"Place": func(ctx context.Context) error {
			return s.Place(ctx, reindex, wholeOf(b, passagesIn(reindex.Space, "theirs")...), progress)
		},
		"SetStage": func(ctx context.Context) error {
			return s.SetStage(ctx, reindex, document.StageVerify, progress)
		},
		"Verify":  func(ctx context.Context) error { return s.Verify(ctx, reindex, 10) },
		"Switch":  func(ctx context.Context) error { return s.Switch(ctx, reindex, 0, progress) },
		"Requeue": func(ctx context.Context) error { _, err := s.Requeue(ctx, redoing, 10); return err },
		"Publish": func(ctx context.Context) error {
			return s.Publish(ctx, upload, []document.Placement{{Space: reindex.Space.ID, Passages: 1}}, document.KnowledgeProgress{})
		},
	} {
		t.Run(name, func(t *testing.T) { wantFault(t, call(theirs), fault.LeaseLost) })
	}

	for name, count := range map[string]func(ctx context.Context) (int, error){
		"Reindexes": func(ctx context.Context) (int, error) {
			list, err := s.Reindexes(ctx, document.ReindexFilter{}, document.Page{Limit: 10})
			return len(list.Items), err
		},
		"StoredPassages": func(ctx context.Context) (int, error) {
			stored, err := s.StoredPassages(ctx, c.Space, a, 0, 10)
			return len(stored), err
		},
		"Embedded": func(ctx context.Context) (int, error) {
			hashes, err := s.Embedded(ctx, c.Space, hashesOf(passagesIn(c.Space, "one", "two")...))
			return len(hashes), err
		},
		"ReindexRate": func(ctx context.Context) (int, error) {
			rate, err := s.ReindexRate(ctx, c.Space.Model)
			return int(rate * 1000), err
		},
		"Grown": func(ctx context.Context) (int, error) {
			spaces, err := s.Grown(ctx, document.CareMove, 1)
			return len(spaces), err
		},
		"GrownAfter": func(ctx context.Context) (int, error) {
			spaces, _, err := s.GrownAfter(ctx, document.CareMove, 1, 0, 100)
			return len(spaces), err
		},
		"Dispatch": func(ctx context.Context) (int, error) {
			dispatched, err := s.Dispatch(ctx, map[document.TaskKind]int{document.Reindexing: 10})
			return len(dispatched), err
		},
		"Due": func(ctx context.Context) (int, error) {
			due, err := s.Due(ctx, -2*leaseTime, 10)
			return len(due), err
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := count(theirs); err != nil || got != 0 {
				t.Errorf("got %d of ours, %v", got, err)
			}
		})
	}

	t.Run("Collections", func(t *testing.T) {
		own := []document.Collection{ensure(t, theirs, s, "own")}
		if got, err := s.Collections(theirs); err != nil || !cmp.Equal(own, got) {
			t.Errorf("got %+v, %v, want their own", got, err)
		}
	})
	t.Run("IndexSpace", func(t *testing.T) {
		// Whether it fails or finds nothing to do, ours is as it was.
		if err := s.IndexSpace(theirs, c.Space, 1); err != nil && !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
		if err := s.MoveSpace(theirs, c.Space); err != nil && !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
	})
	t.Run("Work of theirs", func(t *testing.T) {
		// With a lease of their own they come by none of our spaces.
		own := ensure(t, theirs, s, "their own")
		work := startReindex(t, theirs, s, anotherModel(own))
		job := begin(t, theirs, s, own, "a")
		if err := s.Write(theirs, in(c.Space, job), batchOf(0, passagesIn(c.Space, "theirs")...), document.KnowledgeProgress{}); err == nil {
			t.Error("wrote to our space")
		}
		// These may keep to what their lease is for, or fail; ours is as it was.
		if err := s.Place(theirs, in(reindex.Space, work), wholeOf(b, passagesIn(reindex.Space, "theirs")...), progress); err != nil {
			t.Log(err)
		}
		if err := s.Switch(theirs, in(reindex.Space, work), 0, progress); err != nil {
			t.Log(err)
		}
		if got := live(t, theirs, s, own); got.Space.ID == reindex.Space.ID {
			t.Error("switched to our space")
		}
	})

	if diff := cmp.Diff(before, stateOfReindexes(t, ours, s, c, reindex, a)); diff != "" {
		t.Errorf("what they did changed ours (-before +after):\n%s", diff)
	}
}

// stateOfReindexes is all that there is to see of them.
func stateOfReindexes(t *testing.T, ctx context.Context, s Store, c document.Collection, reindex document.Work, of document.Unplaced) map[string]any {
	t.Helper()
	collections, err := s.Collections(ctx)
	if err != nil {
		t.Fatal(err)
	}
	embedded, err := s.Embedded(ctx, reindex.Space, hashesOf(passagesIn(reindex.Space, "one", "two", "three", "four", "theirs")...))
	if err != nil {
		t.Fatal(err)
	}
	found, err := searchAll(ctx, s, c)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]any{
		"collections": collections,
		"embedded":    len(embedded),
		"grown":       grown(t, ctx, s, 1),
		"found":       found,
		"unplaced":    unplaced(t, ctx, s, reindex),
		"stored":      storedTexts(t, ctx, s, reindex.Space, of),
		"jobs":        listJobs(t, ctx, s, document.JobFilter{}, 10),
		"due":         due(t, ctx, s, -2*leaseTime, 10),
		"reindexes": listAll(t, 10, func(page document.Page) (document.List[document.Reindex], error) {
			return s.Reindexes(ctx, document.ReindexFilter{}, page)
		}),
	}
}
