package storetest

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/rebuild"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// tenantsOfReindexes does for what concerns reindexes what tenants does for
// everything else.
func tenantsOfReindexes(t *testing.T, open func(t *testing.T) Store) {
	s := open(t)
	ours, theirs := tenantContext(t, tenant.Default), tenantContext(t, OtherTenant)
	c := ensureCollection(t, ours, s, "c")
	a := publishTexts(t, ours, s, c, "a", "one", "two")
	b := publishTexts(t, ours, s, c, "b", "three")
	reindex := startReindex(t, ours, s, changeModelRequest(c))
	writeToSpace(t, ours, s, reindex, spaceWriteOf(a, passagesIn(reindex.Space, "one", "two")...))
	upload := beginKnowledge(t, ours, s, c, "c")
	writeBatch(t, ours, s, withSpace(reindex.Space, upload), batchOf(0, passagesIn(reindex.Space, "four")...), document.KnowledgeProgress{})
	redone := ensureCollection(t, ours, s, "redone")
	publishTexts(t, ours, s, redone, "a", "one")
	redoing := startReindex(t, ours, s, document.ReindexRequest{Collection: redone.Name, Force: true})
	switched := ensureCollection(t, ours, s, "switched")
	publishTexts(t, ours, s, switched, "a", "one")
	done := runReindex(t, ours, s, changeModelRequest(switched), leaseTime)
	over := ensureCollection(t, ours, s, "over")
	runReindex(t, ours, s, changeModelRequest(over), 0)
	queued := beginReindex(t, ours, s, document.ReindexRequest{Collection: over.Name})
	before := stateOfReindexes(t, ours, s, c, reindex, a)

	for name, call := range map[string]func(ctx context.Context) error{
		"BeginReindex": func(ctx context.Context) error {
			_, err := s.BeginReindex(ctx, document.ReindexRequest{Collection: switched.Name})
			return err
		},
		"BeginReindex of a document": func(ctx context.Context) error {
			own := ensureCollection(t, ctx, s, "own")
			_, err := s.BeginReindex(ctx, document.ReindexRequest{Collection: own.Name, DocumentIDs: []uuid.UUID{a.DocumentID}})
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
		"Renew": func(ctx context.Context) error { return s.RenewLease(ctx, reindex, -leaseTime) },
		"Settle": func(ctx context.Context) error {
			return s.RecordOutcome(ctx, reindex, task.Outcome{Verdict: task.VerdictFail})
		},
		"Rebuild":         func(ctx context.Context) error { _, err := s.PlanRebuild(ctx, reindex); return err },
		"MissingVersions": func(ctx context.Context) error { _, err := s.MissingVersions(ctx, reindex, uuid.Nil, 10); return err },
		"Place": func(ctx context.Context) error {
			return s.WriteToSpace(ctx, reindex, spaceWriteOf(b, passagesIn(reindex.Space, "theirs")...), progress)
		},
		"SetStage": func(ctx context.Context) error {
			return s.SetReindexStage(ctx, reindex, document.StageVerify, progress)
		},
		"Verify":  func(ctx context.Context) error { return s.VerifySpace(ctx, reindex, 10) },
		"Switch":  func(ctx context.Context) error { return s.ActivateSpace(ctx, reindex, 0, progress) },
		"Requeue": func(ctx context.Context) error { _, err := s.RequeueDocuments(ctx, redoing, 10); return err },
		"Publish": func(ctx context.Context) error {
			return s.Publish(ctx, upload, []vector.SpaceVersion{{SpaceID: reindex.Space.ID, Passages: 1}}, document.KnowledgeProgress{})
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
			stored, err := s.VersionPassages(ctx, c.ActiveSpace, a, 0, 10)
			return len(stored), err
		},
		"Embedded": func(ctx context.Context) (int, error) {
			hashes, err := s.ReusableHashes(ctx, c.ActiveSpace, hashesOf(passagesIn(c.ActiveSpace, "one", "two")...))
			return len(hashes), err
		},
		"ReindexRate": func(ctx context.Context) (int, error) {
			rate, err := s.EmbeddingRate(ctx, c.ActiveSpace.Model)
			return int(rate * 1000), err
		},
		"Grown": func(ctx context.Context) (int, error) {
			spaces, err := s.GrownSpaces(ctx, vector.MaintenanceMove, 1)
			return len(spaces), err
		},
		"GrownAfter": func(ctx context.Context) (int, error) {
			spaces, _, err := s.GrownSpacesAfter(ctx, vector.MaintenanceMove, 1, 0, 100)
			return len(spaces), err
		},
		"Dispatch": func(ctx context.Context) (int, error) {
			dispatched, err := s.Dispatch(ctx, map[task.Kind]int{task.KindReindex: 10})
			return len(dispatched), err
		},
		"Due": func(ctx context.Context) (int, error) {
			due, err := s.RedispatchOverdue(ctx, -2*leaseTime, 10)
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
		own := []vector.Collection{ensureCollection(t, theirs, s, "own")}
		if got, err := s.AllCollections(theirs); err != nil || !cmp.Equal(own, got) {
			t.Errorf("got %+v, %v, want their own", got, err)
		}
	})
	t.Run("IndexSpace", func(t *testing.T) {
		// Whether it fails or finds nothing to do, ours is as it was.
		if err := s.IndexSpace(theirs, c.ActiveSpace, 1); err != nil && !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
		if err := s.MoveSpaceToOwnTable(theirs, c.ActiveSpace); err != nil && !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
	})
	t.Run("Work of theirs", func(t *testing.T) {
		// With a lease of their own they come by none of our spaces.
		own := ensureCollection(t, theirs, s, "their own")
		work := startReindex(t, theirs, s, changeModelRequest(own))
		job := beginKnowledge(t, theirs, s, own, "a")
		if err := s.WriteBatch(theirs, withSpace(c.ActiveSpace, job), batchOf(0, passagesIn(c.ActiveSpace, "theirs")...), document.KnowledgeProgress{}); err == nil {
			t.Error("wrote to our space")
		}
		// These may keep to what their lease is for, or fail; ours is as it was.
		if err := s.WriteToSpace(theirs, withSpace(reindex.Space, work), spaceWriteOf(b, passagesIn(reindex.Space, "theirs")...), progress); err != nil {
			t.Log(err)
		}
		if err := s.ActivateSpace(theirs, withSpace(reindex.Space, work), 0, progress); err != nil {
			t.Log(err)
		}
		if got := readCollection(t, theirs, s, own); got.ActiveSpace.ID == reindex.Space.ID {
			t.Error("switched to our space")
		}
	})

	if diff := cmp.Diff(before, stateOfReindexes(t, ours, s, c, reindex, a)); diff != "" {
		t.Errorf("what they did changed ours (-before +after):\n%s", diff)
	}
}

// stateOfReindexes is all that there is to see of them.
func stateOfReindexes(t *testing.T, ctx context.Context, s Store, c vector.Collection, reindex task.Work, of rebuild.MissingVersion) map[string]any {
	t.Helper()
	collections, err := s.AllCollections(ctx)
	if err != nil {
		t.Fatal(err)
	}
	embedded, err := s.ReusableHashes(ctx, reindex.Space, hashesOf(passagesIn(reindex.Space, "one", "two", "three", "four", "theirs")...))
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
		"grown":       grownSpaces(t, ctx, s, 1),
		"found":       found,
		"unplaced":    missingVersions(t, ctx, s, reindex),
		"stored":      versionTexts(t, ctx, s, reindex.Space, of),
		"jobs":        listJobs(t, ctx, s, document.JobFilter{}, 10),
		"due":         redispatchOverdue(t, ctx, s, -2*leaseTime, 10),
		"reindexes": listAll(t, 10, func(page document.Page) (document.List[document.Reindex], error) {
			return s.Reindexes(ctx, document.ReindexFilter{}, page)
		}),
	}
}
