package fault_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/test/audit"
	"github.com/seed-7a112592/gristmill/internal/test/await"
	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// A document kills every worker that processes it. It fails after three attempts with a reason; the
// other documents of those workers succeed.
func TestDocumentThatKillsItsWorker(t *testing.T) {
	t.Parallel()
	const attempts = 3
	// The latency is longer than it takes to kill a worker, so the tasks that run at the same time as
	// that of the document lose their worker too.
	slow := fakeprovider.Options{Latency: 300 * time.Millisecond}
	m := newTestEnv(t, sharedServers(t), slow, "GRISTMILL_WORKER_CONCURRENCY=32", "GRISTMILL_EMBEDDING_CONCURRENCY=64")
	poison := newFile(m.random, "poison.md", 3, 3)
	blocker := newRequestBlocker(m, poison.key)
	m.gate.holdEmbeddings()
	m.start("api")
	m.start("worker-summary")
	worker := m.start("worker-knowledge")
	others := newFiles(m.random, ifShort(8, 20))
	m.uploadAll(others)
	await.Until(t, "the other documents are being embedded", func() bool { return m.gate.heldEmbeddings() >= len(others) })
	if err := m.upload(poison); err != nil {
		t.Fatal(err)
	}

	began := time.Now()
	for attempt := range attempts {
		await.Within(t, 2*time.Minute, "a worker processes the document", blocker.blocked)
		t.Logf("attempt %d after %s", attempt+1, time.Since(began).Round(time.Second))
		worker.Kill()
		if testing.Short() { // expires the leases instead of waiting
			m.direct.Exec(`UPDATE tasks SET lease_until = now() WHERE kind = 'knowledge' AND state = 'running'`)
		}
		m.gate.release()
		worker = m.start("worker-knowledge")
	}
	audit.AwaitIdle(t, m.direct, 3*time.Minute)
	t.Logf("all tasks ended after %s", time.Since(began).Round(time.Second))
	if blocker.blocked() {
		t.Errorf("the document had more than %d attempts", attempts)
	}

	failed, err := m.client().Jobs(t.Context(), document.JobFilter{State: document.JobFailed}, document.Page{})
	if err != nil || len(failed.Items) != 1 {
		t.Fatalf("%d jobs failed, error %v, want 1 job", len(failed.Items), err)
	}
	job := failed.Items[0]
	if want := "given up after 3 attempts: its worker died in 3 of them"; !strings.HasPrefix(job.Error, want) {
		t.Errorf("the job says %q, want %q…", job.Error, want)
	}
	for _, job := range audit.Jobs(t, m.client()) {
		if job.ID != failed.Items[0].ID && job.State != document.JobSucceeded {
			t.Errorf("job %s is %s: %s", job.ID, job.State, job.Error)
		}
	}

	// A retry succeeds after the cause has been fixed.
	blocker.disabled.Store(true)
	if _, err := m.client().RetryJob(t.Context(), job.ID); err != nil {
		t.Errorf("retry: %v", err)
	}
	m.audit(time.Minute, attempts*maxBatchPassages)
}

// requestBlocker is a proxy in front of the gate that holds the embedding requests of one document.
type requestBlocker struct {
	blockedRequests chan struct{}
	disabled        atomic.Bool
}

// newRequestBlocker makes the programs that are started from now on use a requestBlocker for the
// document with the key. All its passages contain the key.
func newRequestBlocker(m *testEnv, key string) *requestBlocker {
	m.t.Helper()
	gate, err := url.Parse(m.gate.URL)
	if err != nil {
		m.t.Fatal(err)
	}
	forward := httputil.NewSingleHostReverseProxy(gate)
	forward.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
	blocker := &requestBlocker{blockedRequests: make(chan struct{})}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		if r.URL.Path != "/v1/embeddings" || !bytes.Contains(body, []byte(key)) || blocker.disabled.Load() {
			forward.ServeHTTP(w, r)
			return
		}
		select {
		case blocker.blockedRequests <- struct{}{}:
		case <-r.Context().Done():
		}
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	}))
	m.t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	m.proxied.ExtraEnv = append(m.proxied.ExtraEnv, "GRISTMILL_OPENAI_BASE_URL="+server.URL+"/v1")
	return blocker
}

// blocked reports whether a worker has sent a request for the document since the last call. The
// request is held until the worker is killed.
func (b *requestBlocker) blocked() bool {
	select {
	case <-b.blockedRequests:
		return true
	default:
		return false
	}
}
