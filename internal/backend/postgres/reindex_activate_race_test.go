package postgres_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/rebuild"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// betweenCountAndLock runs call, which counts what is missing in a space, and does
// something when it has counted and waits for the row of a document that is left
// out of the space.
func (r claimedStore) betweenCountAndLock(t *testing.T, ctx context.Context, leftOut rebuild.MissingVersion, call, then func() error) error {
	t.Helper()
	done := make(chan error, 1)
	if err := r.InTenant(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT FROM documents WHERE id = $1 FOR UPDATE`, leftOut.DocumentID); err != nil {
			return err
		}
		go func() { done <- call() }()
		if err, ended := r.waitUntilBlocked(t, 1, done); ended {
			return fmt.Errorf("it did not wait: %w", err)
		}
		return then()
	}); err != nil {
		t.Fatal(err)
	}
	return <-done
}

// A version that becomes live without the space after the documents were counted is
// missed by no switch; once it is deleted again it is no obstacle.
func TestPublishBetweenCountAndSwitch(t *testing.T) {
	t.Parallel()
	setUp := func(t *testing.T) (r rebuildingStore, ctx context.Context, leftOut rebuild.MissingVersion, late task.Work) {
		r, ctx = newRebuildingStore(t)
		leftOut = r.publishTexts(t, ctx, r.work, "text")
		r.writeSpace(t, ctx, rebuild.SpaceWrite{Versions: []rebuild.VersionWrite{{MissingVersion: leftOut, LeftOutReason: "not this"}}})
		accepted, err := upload(ctx, r.Store, original.Upload{Collection: r.collection, Key: "late"})
		if err != nil {
			t.Fatal(err)
		}
		return r, ctx, leftOut, r.claim(t, ctx, accepted.Job, task.KindKnowledge)
	}
	change := func(ctx context.Context, r rebuildingStore) func() error {
		return func() error { return r.ActivateSpace(ctx, r.reindex, time.Hour, document.ReindexProgress{}) }
	}
	t.Run("published", func(t *testing.T) {
		t.Parallel()
		r, ctx, leftOut, late := setUp(t)
		err := r.betweenCountAndLock(t, ctx, leftOut, change(ctx, r), func() error {
			r.publishTexts(t, ctx, late, "late")
			return nil
		})
		if !fault.Is(err, fault.Conflict) {
			t.Errorf("switched: %v, want a conflict", err)
		}
		if d, err := r.Document(ctx, leftOut.DocumentID); err != nil || d.State != document.DocumentReady {
			t.Errorf("what is left out: %s, %v; want it ready still", d.State, err)
		}
		r.writeSpace(t, ctx, wholeSpaceWrite(rebuild.MissingVersion{DocumentID: late.DocumentID, Version: late.Version}, textPassage("late")))
		if err := change(ctx, r)(); err != nil {
			t.Error(err)
		}
	})
	t.Run("published and deleted", func(t *testing.T) {
		t.Parallel()
		r, ctx, leftOut, late := setUp(t)
		err := r.betweenCountAndLock(t, ctx, leftOut, change(ctx, r), func() error {
			r.publishTexts(t, ctx, late, "late")
			return r.DeleteDocument(ctx, late.DocumentID)
		})
		if err != nil {
			t.Errorf("switched: %v", err)
		}
	})
	t.Run("reverting", func(t *testing.T) {
		t.Parallel()
		r, ctx, leftOut, late := setUp(t)
		if err := change(ctx, r)(); err != nil {
			t.Fatal(err)
		}
		if err := r.RecordOutcome(ctx, late, task.Outcome{Verdict: task.VerdictWait}); err != nil {
			t.Fatal(err)
		}
		late = r.claim(t, ctx, document.Job{DocumentID: late.DocumentID, Version: late.Version}, task.KindKnowledge)
		var reverted document.Reindex
		err := r.betweenCountAndLock(t, ctx, leftOut, func() (err error) {
			reverted, err = r.RevertReindex(ctx, r.reindex.JobID, time.Hour)
			return err
		}, func() error {
			r.publishTexts(t, ctx, late, "late")
			return nil
		})
		if err != nil || reverted.Stage != document.StageReverting {
			t.Errorf("reverted: %s, %v; want it reverting, to place what was published", reverted.Stage, err)
		}
	})
}

// A version whose publication began when the space was not written is waited for, and
// counted.
func TestSwitchWaitsForWhoDoesNotKnowTheSpace(t *testing.T) {
	t.Parallel()
	r, ctx := newRebuildingStore(t)
	version := r.publishTexts(t, ctx, r.work, "text")
	r.writeSpace(t, ctx, wholeSpaceWrite(version, textPassage("text")))
	accepted, err := upload(ctx, r.Store, original.Upload{Collection: r.collection, Key: "late"})
	if err != nil {
		t.Fatal(err)
	}
	late, p := r.claim(t, ctx, accepted.Job, task.KindKnowledge), textPassage("late")
	if err := r.WriteBatch(ctx, late, vector.Batch{New: []vector.EmbeddedPassage{p}, Entries: textEntries(p)}, document.KnowledgeProgress{}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.PauseReindex(ctx, r.reindex.JobID); err != nil {
		t.Fatal(err)
	}
	published, switched := make(chan error, 1), make(chan error, 1)
	if err := r.InTenant(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT FROM tasks WHERE document = $1 FOR UPDATE`, late.DocumentID); err != nil {
			return err
		}
		go func() { published <- r.Publish(ctx, late, nil, document.KnowledgeProgress{Passages: 1}) }()
		if err, ended := r.waitUntilBlocked(t, 1, published); ended {
			return fmt.Errorf("the publication did not wait: %w", err)
		}
		if _, err := r.ResumeReindex(ctx, r.reindex.JobID); err != nil {
			return err
		}
		r.reindex = r.claimReindex(t, ctx, r.reindex.JobID)
		go func() { switched <- r.ActivateSpace(ctx, r.reindex, time.Hour, document.ReindexProgress{}) }()
		if err, ended := r.waitUntilBlocked(t, 2, switched); ended {
			return fmt.Errorf("the switch did not wait: %w", err)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := <-published; err != nil {
		t.Errorf("published: %v", err)
	}
	if err := <-switched; !fault.Is(err, fault.Conflict) {
		t.Errorf("switched: %v, want a conflict", err)
	}
}
