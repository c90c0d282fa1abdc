package ingest_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/pipeline/ingest"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// wantRefused checks that an upload is refused, unread, for the limit that the
// words are about.
func wantRefused(t *testing.T, ctx context.Context, step *ingest.Service, words ...string) {
	t.Helper()
	_, err := step.Upload(ctx, document.UploadRequest{Key: "late.md"}, unreadBody{t})
	f := fault.As(err)
	if f == nil || f.Kind != fault.RateLimited || f.RetryAfter <= 0 {
		t.Fatalf("got %v, want it refused with a time to come again", err)
	}
	for _, word := range words {
		if !strings.Contains(f.Detail, word) {
			t.Errorf("%q does not say %q", f.Detail, word)
		}
	}
}

func uploadText(ctx context.Context, step *ingest.Service, key string) error {
	_, err := step.Upload(ctx, document.UploadRequest{Key: key}, strings.NewReader("text"))
	return err
}

func TestBacklogOfJobsIsLimited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		step, m := newService(t)
		step.BacklogLimit.Jobs = 10
		m.backlog.Jobs = 7
		for i := range 3 {
			if err := uploadText(tenantContext(t), step, fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
		}
		wantRefused(t, tenantContext(t), step, "10 documents", "GRISTMILL_MAX_QUEUED_JOBS allows 10")
		if m.asked != 1 {
			t.Errorf("asked the store %d times within a second", m.asked)
		}
		if len(m.notes) != 0 || len(m.objects) != 3 {
			t.Errorf("left %d notes and %d objects, want 0 and 3", len(m.notes), len(m.objects))
		}

		m.backlog.Jobs = 9 // a worker has ended one
		wantRefused(t, tenantContext(t), step)
		<-time.After(time.Second) // of the bubble's clock
		if err := uploadText(tenantContext(t), step, "next"); err != nil {
			t.Error(err)
		}
		wantRefused(t, tenantContext(t), step)
	})
}

func TestBacklogOfBytesIsLimited(t *testing.T) {
	t.Parallel()
	step, m := newService(t)
	step.BacklogLimit.Bytes = 1000
	m.backlog.Bytes = 996
	if err := uploadText(tenantContext(t), step, "fits"); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, tenantContext(t), step, "1000 bytes", "GRISTMILL_MAX_QUEUED_BYTES allows 1000")
}

func TestBacklogsOfTenantsAreTheirOwn(t *testing.T) {
	t.Parallel()
	step, m := newService(t)
	step.BacklogLimit.Jobs = 1
	if err := uploadText(tenantContext(t), step, "fits"); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, tenantContext(t), step)
	m.backlog = task.Backlog{} // of the other one
	if err := uploadText(tenant.With(t.Context(), "other"), step, "fits"); err != nil {
		t.Error(err)
	}
}

// Those that come to nothing leave their place to others.
func TestBacklogForgetsWhatWasNotAccepted(t *testing.T) {
	t.Parallel()
	step, m := newService(t)
	step.BacklogLimit.Jobs = 1
	m.unchanged = true
	if err := uploadText(tenantContext(t), step, "unchanged"); err != nil {
		t.Fatal(err)
	}
	m.unchanged, m.replayed = false, true
	if err := uploadText(tenantContext(t), step, "replayed"); err != nil {
		t.Fatal(err)
	}
	m.replayed = false
	if err := uploadText(tenantContext(t), step, "\x00"); err == nil {
		t.Fatal("no failure")
	}
	if err := uploadText(tenantContext(t), step, "accepted"); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, tenantContext(t), step)
}

// Uploads under way count, so that no more come in together than one after
// another.
func TestBacklogLimitHoldsForUploadsAtOnce(t *testing.T) {
	t.Parallel()
	step, m := newService(t)
	const limit = 5
	step.BacklogLimit.Jobs = limit
	var bodies []*io.PipeWriter
	var group sync.WaitGroup
	for i := range limit {
		r, w := io.Pipe()
		bodies = append(bodies, w)
		group.Go(func() {
			if _, err := step.Upload(tenantContext(t), document.UploadRequest{Key: fmt.Sprint(i)}, r); err != nil {
				t.Error(err)
			}
		})
		if _, err := io.WriteString(w, "text"); err != nil { // it has been let in
			t.Fatal(err)
		}
	}
	wantRefused(t, tenantContext(t), step, fmt.Sprint(limit))
	for _, w := range bodies {
		_ = w.Close() // never fails
	}
	group.Wait()
	wantRefused(t, tenantContext(t), step, fmt.Sprint(limit))
	if len(m.uploads) != limit {
		t.Errorf("accepted %d, want %d", len(m.uploads), limit)
	}
}

// An upload that is accepted while the store is being asked counts, whichever
// of the two came first.
func TestBacklogCountsWhatIsAcceptedWhileTheStoreIsAsked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		step, m := newService(t)
		slow := &slowStore{fakeBackend: m, answer: make(chan struct{}, 1)}
		step.Store = slow
		step.BacklogLimit.Jobs = 2
		slow.answer <- struct{}{}
		r, w := io.Pipe()
		done := make(chan error)
		go func() {
			_, err := step.Upload(tenantContext(t), document.UploadRequest{Key: "slow"}, r)
			done <- err
		}()
		synctest.Wait()
		<-time.After(time.Second) // of the bubble's clock
		go func() { done <- uploadText(tenantContext(t), step, "second") }()
		synctest.Wait() // the store has counted, and not answered yet
		if _, err := io.WriteString(w, "text"); err != nil {
			t.Fatal(err)
		}
		_ = w.Close() // never fails
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		slow.answer <- struct{}{}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		wantRefused(t, tenantContext(t), step)
	})
}

// slowStore counts the backlog and answers later.
type slowStore struct {
	*fakeBackend
	answer chan struct{}
}

func (s *slowStore) Backlog(ctx context.Context) (task.Backlog, error) {
	backlog, err := s.fakeBackend.Backlog(ctx)
	<-s.answer
	return backlog, err
}
