package fault_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/test/await"
	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/internal/test/program"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// A worker that is told to stop releases the tasks that it cannot finish, without using up an
// attempt, and another worker finishes them.
func TestStoppingWorkerReleasesTasks(t *testing.T) {
	t.Parallel()
	const bound = 12 * time.Second
	m := newTestEnv(t, sharedServers(t), fakeprovider.Options{}, "GRISTMILL_SHUTDOWN_TIMEOUT="+bound.String())
	m.gate.holdEmbeddings()
	m.start("api")
	m.start("worker-summary")
	worker := m.start("worker-knowledge")
	m.uploadAll(newFiles(m.random, 5))
	await.Until(t, "the worker runs all tasks", func() bool {
		return m.direct.QueryInt(`SELECT count(*) FROM tasks WHERE kind = 'knowledge' AND state = 'running'`) == 5
	})

	began := time.Now()
	if status := worker.Stop(); status != 0 {
		t.Errorf("the worker exited with %d", status)
	}
	if took := time.Since(began); took > bound {
		t.Errorf("the worker ended after %s, want at most %s", took, bound)
	}
	if n := m.direct.QueryInt(`SELECT count(*) FROM tasks WHERE kind = 'knowledge' AND attempt = 0 AND lease IS NULL AND state IN ('queued', 'waiting')`); n != 5 {
		t.Errorf("%d of 5 tasks were released without using up an attempt", n)
	}
	m.gate.release()
	m.start("worker-knowledge")
	m.audit(time.Minute, 0)
	if n := m.direct.QueryInt(`SELECT count(*) FROM tasks WHERE kind = 'knowledge' AND attempt = 1`); n != 5 {
		t.Errorf("%d of 5 tasks succeeded at their first attempt", n)
	}
}

// An API server that is told to stop accepts no new requests and finishes the running upload.
func TestStoppingAPIFinishesUpload(t *testing.T) {
	t.Parallel()
	m := newTestEnv(t, sharedServers(t), fakeprovider.Options{})
	api := m.start("api")
	base := api.URL()
	body, feed := io.Pipe()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, base+"/v1/documents?key=slow.md", body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+program.APIKey)
	answered := make(chan error, 1)
	go func() {
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			response.Body.Close()
			if response.StatusCode != http.StatusAccepted {
				err = errors.New(response.Status)
			}
		}
		answered <- err
	}()
	if _, err := io.WriteString(feed, strings.Repeat("half of it\n\n", 100_000)); err != nil {
		t.Fatal(err)
	}
	await.Until(t, "the upload is running", func() bool { return m.direct.QueryInt(`SELECT count(*) FROM uploads`) > 0 })
	api.Signal(syscall.SIGTERM)
	await.Until(t, "the API accepts no new requests", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := m.client().Documents(ctx, document.DocumentFilter{}, document.Page{})
		return err != nil
	})
	if _, err := io.WriteString(feed, "the rest\n"); err != nil {
		t.Fatal(err)
	}
	feed.Close()
	if err := await.Receive(t, answered); err != nil {
		t.Errorf("the running upload: %v", err)
	}
	if status := api.Wait(); status != 0 {
		t.Errorf("the API server exited with %d", status)
	}
}
