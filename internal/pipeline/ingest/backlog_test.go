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

// wantRefused checks that an upload is refused because of the backlog, that its body is not read, and
// that the error contains the words.
func wantRefused(t *testing.T, ctx context.Context, service *ingest.Service, words ...string) {
	t.Helper()
	_, err := service.Upload(ctx, document.UploadRequest{Key: "late.md"}, unreadBody{t})
	f := fault.As(err)
	if f == nil || f.Kind != fault.RateLimited || f.RetryAfter <= 0 {
		t.Fatalf("got %v, want rate limited with a delay", err)
	}
	for _, word := range words {
		if !strings.Contains(f.Detail, word) {
			t.Errorf("the error %q does not contain %q", f.Detail, word)
		}
	}
}

func uploadText(ctx context.Context, service *ingest.Service, key string) error {
	_, err := service.Upload(ctx, document.UploadRequest{Key: key}, strings.NewReader("text"))
	return err
}

func TestBacklogOfJobsIsLimited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		service, m := newService(t)
		service.BacklogLimit.Jobs = 10
		m.backlog.Jobs = 7
		for i := range 3 {
			if err := uploadText(tenantContext(t), service, fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
		}
		wantRefused(t, tenantContext(t), service, "10 documents", "GRISTMILL_MAX_QUEUED_JOBS allows 10")
		if m.backlogCalls != 1 {
			t.Errorf("%d calls of Backlog within a second, want 1", m.backlogCalls)
		}
		if len(m.notes) != 0 || len(m.objects) != 3 {
			t.Errorf("left %d notes and %d objects, want 0 and 3", len(m.notes), len(m.objects))
		}

		m.backlog.Jobs = 9 // a worker has finished a job
		wantRefused(t, tenantContext(t), service)
		<-time.After(time.Second) // on the bubble's clock
		if err := uploadText(tenantContext(t), service, "next"); err != nil {
			t.Error(err)
		}
		wantRefused(t, tenantContext(t), service)
	})
}

func TestBacklogOfBytesIsLimited(t *testing.T) {
	t.Parallel()
	service, m := newService(t)
	service.BacklogLimit.Bytes = 1000
	m.backlog.Bytes = 996
	if err := uploadText(tenantContext(t), service, "fits"); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, tenantContext(t), service, "1000 bytes", "GRISTMILL_MAX_QUEUED_BYTES allows 1000")
}

func TestBacklogIsLimitedPerTenant(t *testing.T) {
	t.Parallel()
	service, m := newService(t)
	service.BacklogLimit.Jobs = 1
	if err := uploadText(tenantContext(t), service, "fits"); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, tenantContext(t), service)
	m.backlog = task.Backlog{} // of the other tenant
	if err := uploadText(tenant.With(t.Context(), "other"), service, "fits"); err != nil {
		t.Error(err)
	}
}

// Uploads that create no job do not count.
func TestBacklogIgnoresUploadsWithoutJobs(t *testing.T) {
	t.Parallel()
	service, m := newService(t)
	service.BacklogLimit.Jobs = 1
	m.unchanged = true
	if err := uploadText(tenantContext(t), service, "unchanged"); err != nil {
		t.Fatal(err)
	}
	m.unchanged, m.replayed = false, true
	if err := uploadText(tenantContext(t), service, "replayed"); err != nil {
		t.Fatal(err)
	}
	m.replayed = false
	if err := uploadText(tenantContext(t), service, "\x00"); err == nil {
		t.Fatal("the upload was accepted")
	}
	if err := uploadText(tenantContext(t), service, "accepted"); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, tenantContext(t), service)
}

// Uploads under way count, so concurrent uploads do not exceed the limit.
func TestBacklogLimitHoldsForConcurrentUploads(t *testing.T) {
	t.Parallel()
	service, m := newService(t)
	const limit = 5
	service.BacklogLimit.Jobs = limit
	var bodies []*io.PipeWriter
	var group sync.WaitGroup
	for i := range limit {
		r, w := io.Pipe()
		bodies = append(bodies, w)
		group.Go(func() {
			if _, err := service.Upload(tenantContext(t), document.UploadRequest{Key: fmt.Sprint(i)}, r); err != nil {
				t.Error(err)
			}
		})
		if _, err := io.WriteString(w, "text"); err != nil { // returns after the upload is admitted
			t.Fatal(err)
		}
	}
	wantRefused(t, tenantContext(t), service, fmt.Sprint(limit))
	for _, w := range bodies {
		_ = w.Close() // never fails
	}
	group.Wait()
	wantRefused(t, tenantContext(t), service, fmt.Sprint(limit))
	if len(m.uploads) != limit {
		t.Errorf("accepted %d uploads, want %d", len(m.uploads), limit)
	}
}

// An upload that is accepted while the store counts the backlog counts, whichever came first.
func TestBacklogCountsUploadsAcceptedDuringALoad(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		service, m := newService(t)
		slow := &slowStore{fakeBackend: m, respond: make(chan struct{}, 1)}
		service.Store = slow
		service.BacklogLimit.Jobs = 2
		slow.respond <- struct{}{}
		r, w := io.Pipe()
		done := make(chan error)
		go func() {
			_, err := service.Upload(tenantContext(t), document.UploadRequest{Key: "slow"}, r)
			done <- err
		}()
		synctest.Wait()
		<-time.After(time.Second) // on the bubble's clock
		go func() { done <- uploadText(tenantContext(t), service, "second") }()
		synctest.Wait() // the store has counted, but not returned yet
		if _, err := io.WriteString(w, "text"); err != nil {
			t.Fatal(err)
		}
		_ = w.Close() // never fails
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		slow.respond <- struct{}{}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		wantRefused(t, tenantContext(t), service)
	})
}

// slowStore counts the backlog immediately, and returns it when it receives from respond.
type slowStore struct {
	*fakeBackend
	respond chan struct{}
}

func (s *slowStore) Backlog(ctx context.Context) (task.Backlog, error) {
	backlog, err := s.fakeBackend.Backlog(ctx)
	<-s.respond
	return backlog, err
}
