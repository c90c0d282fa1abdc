package storetest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
)

func dropOrphans(t *testing.T, ctx context.Context, s Store, limit int) int {
	t.Helper()
	dropped, err := s.DropOrphans(ctx, 0, limit)
	if err != nil {
		t.Fatal(err)
	}
	return dropped
}

func hashesOf(passages ...document.Embedded) []document.Hash {
	hashes := []document.Hash{}
	for _, p := range passages {
		hashes = append(hashes, p.Hash)
	}
	return hashes
}

func wantKnown(t *testing.T, ctx context.Context, s Store, space document.Space, hashes []document.Hash, want ...document.Embedded) {
	t.Helper()
	known, err := s.Known(ctx, space, hashes)
	if err != nil {
		t.Fatal(err)
	}
	wanted := map[document.Hash]int{}
	for _, p := range want {
		wanted[p.Hash] = p.EmbeddedBytes
	}
	if diff := cmp.Diff(wanted, known, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("known (-want +got):\n%s", diff)
	}
}

func dropsOrphansOnly(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "c")
	kept := passageOf("kept", 1, 0, 0)
	gone := []document.Embedded{passageOf("gone 1", 1, 0, 0), passageOf("gone 2", 1, 0, 0), passageOf("gone 3", 1, 0, 0)}
	all := append([]document.Embedded{kept}, gone...)
	publishDocument(t, ctx, s, uploadOf(c, "a"), all...)
	if got := dropOrphans(t, ctx, s, 10); got != 0 {
		t.Errorf("all are placed: dropped %d", got)
	}
	publishDocument(t, ctx, s, uploadOf(c, "a"), kept)
	for _, r := range remains(t, ctx, s) {
		forget(t, ctx, s, r)
	}
	if got, err := s.DropOrphans(ctx, time.Hour, 10); err != nil || got != 0 {
		t.Errorf("within an hour of being stored: dropped %d, %v", got, err)
	}
	for i, want := range []int{2, 1, 0} {
		if got := dropOrphans(t, ctx, s, 2); got != want {
			t.Errorf("call %d with a limit of 2: dropped %d, want %d", i+1, got, want)
		}
	}
	wantKnown(t, ctx, s, c.Space, hashesOf(all...), kept)
	wantContents(t, nearest(t, ctx, s, c, document.Query{}), "kept")
}

// An attempt that failed has paid for its passages. Nothing places them until
// the next attempt does, which must find them.
func dropsNoOrphanThatMayBePlacedAgain(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "c")
	job := accept(t, ctx, s, uploadOf(c, "a")).Job
	paid := passageOf("paid for", 1, 0, 0)
	work := claim(t, ctx, s, job, document.Knowledge)
	if err := s.Write(ctx, work, batchOf(0, paid), document.KnowledgeProgress{Passages: 1}); err != nil {
		t.Fatal(err)
	}
	if err := s.Settle(ctx, work, document.Outcome{Verdict: document.VerdictRetry, Error: "hiccup"}); err != nil {
		t.Fatal(err)
	}
	work = claim(t, ctx, s, job, document.Knowledge) // which takes the places away
	if got := dropOrphans(t, ctx, s, 10); got != 0 {
		t.Errorf("between two attempts: dropped %d", got)
	}
	wantKnown(t, ctx, s, c.Space, hashesOf(paid), paid)

	if err := s.Settle(ctx, work, document.Outcome{Verdict: document.VerdictFail, Error: "broken"}); err != nil {
		t.Fatal(err)
	}
	if got := dropOrphans(t, ctx, s, 10); got != 1 {
		t.Errorf("once the task was given up: dropped %d, want 1", got)
	}
}

// Either the passage is there when its place is written, or the writer is told
// that it is not.
func dropsNoPassageThatIsBeingPlaced(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "c")
	shared := passageOf("shared", 1, 0, 0)
	for i := range 10 {
		gone := publishDocument(t, ctx, s, uploadOf(c, fmt.Sprint("gone ", i)), shared)
		job := accept(t, ctx, s, uploadOf(c, fmt.Sprint("new ", i))).Job
		work := claim(t, ctx, s, job, document.Knowledge)
		if err := s.DeleteDocument(ctx, gone.Document.ID); err != nil {
			t.Fatal(err)
		}
		for _, r := range remains(t, ctx, s) {
			forget(t, ctx, s, r)
		}
		batch := batchOf(0, shared)
		batch.New = nil // as when it was known a moment ago
		progress := document.KnowledgeProgress{Passages: 1, Reused: 1}

		var group sync.WaitGroup
		group.Go(func() {
			if _, err := s.DropOrphans(ctx, 0, 10); err != nil {
				t.Error(err)
			}
		})
		err := s.Write(ctx, work, batch, progress)
		group.Wait()
		if fault.Is(err, fault.Conflict) {
			err = s.Write(ctx, work, batchOf(0, shared), progress)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Publish(ctx, work, nil, progress); err != nil {
			t.Fatal(err)
		}
		if got := listPassages(t, ctx, s, job.DocumentID, 10); len(got) != 1 {
			t.Fatalf("got passages %v, want 1", got)
		}
		if err := s.DeleteDocument(ctx, job.DocumentID); err != nil {
			t.Fatal(err)
		}
	}
}
