package fault_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/test/await"
	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/pkg/client"
)

// uploadDeadline is the time limit for the answer to an upload while a dependency is down.
const uploadDeadline = 3 * time.Second

// Uploads while one dependency is down or hangs: the API accepts what it can store and refuses what
// it cannot, both quickly.
func TestUploadsWhileADependencyIsDown(t *testing.T) {
	t.Parallel()
	m := newTestEnv(t, sharedServers(t), fakeprovider.Options{})
	m.startAll()
	files := newFiles(m.random, 10)
	next := func() file {
		f := files[0]
		files = files[1:]
		return f
	}
	m.wantAccepted(next())
	// Requests in flight when PostgreSQL goes down may be sent again, so this waits until none is.
	await.Within(t, time.Minute, "the accepted document is embedded", func() bool {
		return m.direct.QueryInt(`SELECT count(*) FROM tasks WHERE kind = 'knowledge' AND state = 'succeeded'`) == 1
	})

	m.postgres.down()
	m.wantRefused(next())
	m.postgres.up()
	m.wantAccepted(next())

	m.minio.down()
	m.wantRefused(next())
	m.minio.up()
	m.wantAccepted(next())

	m.redis.down()
	m.wantAccepted(next())
	m.redis.up()
	m.redis.addToxic("timeout", fromServer, 1, map[string]any{"timeout": 0}) // no response arrives, and no connection ends
	m.wantAccepted(next())
	m.redis.removeToxic("timeout", fromServer)
	m.wantAccepted(next())
	m.audit(2*time.Minute, 0)
}

// wantAccepted uploads a file, which must be accepted within uploadDeadline.
func (m *testEnv) wantAccepted(f file) {
	m.t.Helper()
	c := m.client() // waits until the API listens
	began := time.Now()
	if _, err := m.uploads.Upload(m.t.Context(), c, f.key, f.text); err != nil {
		m.t.Errorf("upload %s: %v", f.key, err)
	}
	if took := time.Since(began); took > uploadDeadline {
		m.t.Errorf("the upload of %s took %s", f.key, took)
	}
}

// wantRefused uploads a file, which must be refused with 503 and Retry-After.
func (m *testEnv) wantRefused(f file) {
	m.t.Helper()
	began := time.Now()
	_, err := m.uploads.Upload(m.t.Context(), m.client(), f.key, f.text)
	took := time.Since(began)
	if p, ok := errors.AsType[*client.Problem](err); !ok || p.Status != http.StatusServiceUnavailable || p.RetryAfter <= 0 {
		m.t.Errorf("upload %s: %v, want 503 with Retry-After", f.key, err)
	}
	m.t.Logf("refused after %s: %v", took.Round(time.Millisecond), err)
}
