package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// withConcurrentClients uploads, edits, deletes and searches while fn runs. Nobody fails,
// and every search finds what is live all the time.
func withConcurrentClients(t *testing.T, ctx context.Context, s Store, c vector.Collection, fn func()) {
	t.Helper()
	publishTexts(t, ctx, s, c, "always", "always")
	done := make(chan struct{})
	over := func() bool {
		select {
		case <-done:
			return true
		default:
			return t.Failed()
		}
	}
	var group sync.WaitGroup
	defer group.Wait()
	defer close(done)
	for i := range 2 {
		group.Go(func() {
			for n := 0; n < 3 || !over(); n++ {
				key := fmt.Sprint(i, " ", n%4)
				id, err := uploadConcurrently(ctx, s, uploadOf(c, key), "of "+key, fmt.Sprint("edition ", n))
				if err == nil && n%4 == 3 {
					err = s.DeleteDocument(ctx, id)
				}
				if err != nil {
					t.Errorf("upload %s: %v", key, err)
					return
				}
			}
		})
		group.Go(func() {
			for n := 0; n < 3 || !over(); n++ {
				now, err := s.Collection(ctx, c.Name)
				if err != nil {
					t.Error(err)
					return
				}
				got, err := searchAll(ctx, s, now)
				if !fault.Is(err, fault.Conflict) && (err != nil || !slices.Contains(got, "always")) {
					t.Errorf("a search found %q, %v", got, err)
					return
				}
			}
		})
	}
	fn()
}

// uploadConcurrently does what an upload and its worker do. What it fails with is
// no failure if it is told to try again, or if the spaces that it wrote to are
// others by now.
func uploadConcurrently(ctx context.Context, s Store, upload original.Upload, texts ...string) (id uuid.UUID, err error) {
	if err := s.BeginUpload(ctx, upload.Object); err != nil {
		return id, err
	}
	accepted, err := s.AcceptUpload(ctx, upload)
	if err != nil {
		return id, err
	}
	id = accepted.Document.ID
	ref := task.Ref{Tenant: tenant.Default, DocumentID: id, Version: accepted.Job.Version, Kind: task.KindKnowledge}
	work, err := s.Claim(ctx, ref, leaseTime)
	for range 20 {
		if err != nil {
			return id, err
		}
		failed := publishConcurrently(ctx, s, work, texts...)
		if failed == nil {
			return id, nil
		}
		if err := s.RecordOutcome(ctx, work, task.Outcome{Verdict: task.VerdictWait, Error: failed.Error()}); err != nil {
			return id, err
		}
		before := work
		work, err = s.Claim(ctx, ref, leaseTime)
		if !fault.Is(failed, fault.Unavailable) && before.Space.ID == work.Space.ID && cmp.Equal(before.OtherSpaces, work.OtherSpaces) {
			return id, failed
		}
	}
	return id, errors.New("it was never published")
}

// publishConcurrently leaves out what it cannot write besides the live space.
func publishConcurrently(ctx context.Context, s Store, work task.Work, texts ...string) error {
	if _, err := writeInSpace(ctx, s, work.Space, work, texts...); err != nil {
		return err
	}
	var placed []vector.SpaceVersion
	for _, space := range work.OtherSpaces {
		spaceVersion, err := writeInSpace(ctx, s, space, work, texts...)
		if fault.Is(err, fault.LeaseLost) {
			return err
		}
		if err == nil {
			placed = append(placed, spaceVersion)
		}
	}
	return s.Publish(ctx, work, placed, document.KnowledgeProgress{Passages: int64(len(texts))})
}

func indexesWhileDocumentsChange(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "c")
	withConcurrentClients(t, ctx, s, c, func() {
		if err := s.IndexSpace(ctx, c.ActiveSpace, 1); err != nil {
			t.Error(err)
		}
	})
}

func rebuildsWhileDocumentsChange(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "c")
	withConcurrentClients(t, ctx, s, c, func() {
		for i := range 4 {
			request := changeModelRequest(c)
			if i%2 == 1 {
				request.Model = c.ActiveSpace.Model
			}
			work := startReindex(t, ctx, s, request)
			writeMissing(t, ctx, s, work)
			err := s.ActivateSpace(ctx, work, 0, document.ReindexProgress{})
			for tries := 0; fault.Is(err, fault.Conflict) && tries < 100; tries++ { // catches up
				writeMissing(t, ctx, s, work)
				err = s.ActivateSpace(ctx, work, 0, document.ReindexProgress{})
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := collectSpaces(t, ctx, s); got == 0 {
				t.Error("nothing was dropped")
			}
		}
	})
	collectVersions(t, ctx, s)
	work := startReindex(t, ctx, s, changeModelRequest(c))
	writeMissing(t, ctx, s, work)
	activateSpace(t, ctx, s, work, leaseTime)
}
