package postgres_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/rebuild"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// rebuildingStore is a race with a reindex that is claimed.
type rebuildingStore struct {
	claimedStore
	reindex task.Work
}

// newRebuildingStore begins a reindex to another model, of vectors as long.
func newRebuildingStore(t *testing.T) (rebuildingStore, context.Context) {
	t.Helper()
	r, ctx := newClaimedStore(t)
	begun, err := r.BeginReindex(ctx, document.ReindexRequest{Collection: "c", Model: document.Model{Name: "next", Dimensions: 2}})
	if err != nil {
		t.Fatal(err)
	}
	return rebuildingStore{claimedStore: r, reindex: r.claimReindex(t, ctx, begun.ID)}, ctx
}

func textPassage(text string) vector.EmbeddedPassage {
	return vector.EmbeddedPassage{Hash: document.HashText(text), PassageText: document.PassageText{Content: text}, Vector: []float32{1, 0}}
}

func textEntries(passages ...vector.EmbeddedPassage) []vector.ManifestEntry {
	places := make([]vector.ManifestEntry, len(passages))
	for i, p := range passages {
		places[i] = vector.ManifestEntry{Hash: p.Hash, Ordinal: i, Start: int64(i), End: int64(i + 1)}
	}
	return places
}

// publishTexts does a knowledge task in the live space only.
func (r claimedStore) publishTexts(t *testing.T, ctx context.Context, work task.Work, texts ...string) rebuild.MissingVersion {
	t.Helper()
	var passages []vector.EmbeddedPassage
	for _, text := range texts {
		passages = append(passages, textPassage(text))
	}
	if err := r.WriteBatch(ctx, work, vector.Batch{New: passages, Entries: textEntries(passages...)}, document.KnowledgeProgress{}); err != nil {
		t.Fatal(err)
	}
	if err := r.Publish(ctx, work, nil, document.KnowledgeProgress{Passages: int64(len(texts))}); err != nil {
		t.Fatal(err)
	}
	return rebuild.MissingVersion{DocumentID: work.DocumentID, Version: work.Version}
}

func wholeSpaceWrite(version rebuild.MissingVersion, passages ...vector.EmbeddedPassage) rebuild.SpaceWrite {
	return rebuild.SpaceWrite{New: passages, Versions: []rebuild.VersionWrite{
		{MissingVersion: version, Entries: textEntries(passages...), TotalEntries: int64(len(passages))},
	}}
}

func (r rebuildingStore) writeSpace(t *testing.T, ctx context.Context, rebuilt rebuild.SpaceWrite) {
	t.Helper()
	if err := r.WriteToSpace(ctx, r.reindex, rebuilt, document.ReindexProgress{}); err != nil {
		t.Fatal(err)
	}
}

// callInLockOrder starts two calls, each once what was before it waits: a
// transaction with the statements, and the first call for that. Then the
// transaction commits.
func (r claimedStore) callInLockOrder(t *testing.T, ctx context.Context, statement string, first, second func() error) (errs [2]error) {
	t.Helper()
	done := [2]chan error{make(chan error, 1), make(chan error, 1)}
	if err := r.InTenant(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, statement); err != nil {
			return err
		}
		for i, call := range []func() error{first, second} {
			go func() { done[i] <- call() }()
			if err, ended := r.waitUntilBlocked(t, i+1, done[i]); ended {
				return fmt.Errorf("call %d did not wait: %w", i, err)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return [2]error{<-done[0], <-done[1]}
}

// A version that is published while the space is switched is either seen by the
// switch, which then says that it is missing, or comes too late for the space
// that it was written to.
func TestPublishAndSwitchAtOnce(t *testing.T) {
	t.Parallel()
	late := func(t *testing.T) (rebuildingStore, context.Context, func() error, func() error) {
		r, ctx := newRebuildingStore(t)
		if len(r.work.OtherSpaces) > 0 {
			t.Fatalf("the task was claimed before the reindex began, but writes to %+v", r.work.OtherSpaces)
		}
		p := textPassage("text")
		if err := r.WriteBatch(ctx, r.work, vector.Batch{New: []vector.EmbeddedPassage{p}, Entries: textEntries(p)}, document.KnowledgeProgress{}); err != nil {
			t.Fatal(err)
		}
		return r, ctx, func() error { return r.Publish(ctx, r.work, nil, document.KnowledgeProgress{Passages: 1}) },
			func() error { return r.ActivateSpace(ctx, r.reindex, time.Hour, document.ReindexProgress{}) }
	}
	t.Run("publish first", func(t *testing.T) {
		t.Parallel()
		r, ctx, publish, change := late(t)
		errs := r.callInLockOrder(t, ctx, `SELECT FROM tasks WHERE kind = 'knowledge' FOR UPDATE`, publish, change)
		if errs[0] != nil || !fault.Is(errs[1], fault.Conflict) {
			t.Errorf("published: %v; switched: %v, want a conflict", errs[0], errs[1])
		}
		if missing, err := r.MissingVersions(ctx, r.reindex, uuid.Nil, 10); err != nil || len(missing) != 1 {
			t.Errorf("got %+v unplaced, %v, want the one document", missing, err)
		}
	})
	t.Run("switch first", func(t *testing.T) {
		t.Parallel()
		r, ctx, publish, change := late(t)
		errs := r.callInLockOrder(t, ctx, `SELECT FROM spaces FOR NO KEY UPDATE`, change, publish)
		if errs[0] != nil || !fault.Is(errs[1], fault.Unavailable) {
			t.Errorf("switched: %v; published: %v, want it unavailable", errs[0], errs[1])
		}
		if d, err := r.Document(ctx, r.work.DocumentID); err != nil || d.State != document.DocumentPending {
			t.Errorf("document: got %s, %v, want it pending", d.State, err)
		}
	})
}

// Whichever comes first, nothing is left of a version that is collected.
func TestCollectAndPlaceAtOnce(t *testing.T) {
	t.Parallel()
	deleted := func(t *testing.T) (r rebuildingStore, ctx context.Context, collect, place func() error) {
		r, ctx = newRebuildingStore(t)
		version := r.publishTexts(t, ctx, r.work, "text")
		return r, ctx, func() error {
				if err := r.DeleteDocument(ctx, version.DocumentID); err != nil {
					return err
				}
				return collectVersion(ctx, r.Store, version.DocumentID, version.Version)
			}, func() error {
				return r.WriteToSpace(ctx, r.reindex, wholeSpaceWrite(version, textPassage("text")), document.ReindexProgress{})
			}
	}
	check := func(t *testing.T, ctx context.Context, r rebuildingStore, errs [2]error) {
		t.Helper()
		if errs[0] != nil || errs[1] != nil {
			t.Errorf("got errors %v and %v", errs[0], errs[1])
		}
		for _, table := range []string{"manifest", "space_versions", "versions", "documents"} {
			if n := countRows(t, ctx, r.Store, table); n > 0 {
				t.Errorf("%d rows are left in %s", n, table)
			}
		}
	}
	t.Run("place first", func(t *testing.T) {
		t.Parallel()
		r, ctx, collect, place := deleted(t)
		check(t, ctx, r, r.callInLockOrder(t, ctx, `SELECT FROM reindexes FOR NO KEY UPDATE`, place, collect))
	})
	t.Run("collect first", func(t *testing.T) {
		t.Parallel()
		r, ctx, collect, place := deleted(t)
		check(t, ctx, r, r.callInLockOrder(t, ctx, `SELECT FROM versions FOR UPDATE`, collect, place))
	})
}

// An upload and a reindex that add the same passages wait for each other, and
// neither fails.
func TestWriteAndPlaceTheSamePassages(t *testing.T) {
	t.Parallel()
	r, ctx := newRebuildingStore(t)
	version := r.publishTexts(t, ctx, r.work, "text")
	next, err := upload(ctx, r.Store, original.Upload{Collection: r.collection, Key: "next"})
	if err != nil {
		t.Fatal(err)
	}
	work := r.claim(t, ctx, next.Job, task.KindKnowledge)
	if len(work.OtherSpaces) != 1 || work.OtherSpaces[0] != r.reindex.Space {
		t.Fatalf("an upload is written to %+v too, want the space that is built", work.OtherSpaces)
	}
	work.Space = work.OtherSpaces[0]
	const rounds, n = 10, 50
	for round := range rounds {
		var passages []vector.EmbeddedPassage
		for i := range n {
			passages = append(passages, textPassage(fmt.Sprint("same ", round, i)))
		}
		rebuilt := wholeSpaceWrite(version, passages...)
		places := textEntries(passages...)
		for i := range places {
			places[i].Ordinal += round * n
		}
		reversed := slices.Clone(passages)
		slices.Reverse(reversed)
		var group sync.WaitGroup
		group.Go(func() {
			if err := r.WriteBatch(ctx, work, vector.Batch{New: reversed, Entries: places}, document.KnowledgeProgress{}); err != nil {
				t.Errorf("write: %v", err)
			}
		})
		group.Go(func() {
			if err := r.WriteToSpace(ctx, r.reindex, rebuilt, document.ReindexProgress{}); err != nil {
				t.Errorf("place: %v", err)
			}
		})
		group.Wait()
	}
	if got := countRows(t, ctx, r.Store, fmt.Sprint("shared_passages WHERE space = ", work.Space.ID)); got != rounds*n {
		t.Errorf("got %d passages, want %d", got, rounds*n)
	}
	if missing, err := r.MissingVersions(ctx, r.reindex, uuid.Nil, 10); err != nil || len(missing) > 0 {
		t.Errorf("got %+v unplaced, %v", missing, err)
	}
}

// What another transaction adds after Place has looked, and before it writes,
// does not fail it.
func TestPlaceWhileAPassageIsAdded(t *testing.T) {
	t.Parallel()
	r, ctx := newRebuildingStore(t)
	version := r.publishTexts(t, ctx, r.work, "text")
	err := r.callDuringTransaction(t, ctx, func() error {
		return r.WriteToSpace(ctx, r.reindex, wholeSpaceWrite(version, textPassage("one"), textPassage("text"), textPassage("two")), document.ReindexProgress{})
	}, fmt.Sprintf(`INSERT INTO shared_passages (space, hash, tokens, embedding, heading_path, context, content)
	                SELECT %d, hash, tokens, embedding, heading_path, context, content FROM shared_passages`, r.reindex.Space.ID))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.VerifySpace(ctx, r.reindex, 10); err != nil {
		t.Error(err)
	}
}
