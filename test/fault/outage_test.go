package fault_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/pkg/client"
	"github.com/seed-7a112592/gristmill/test/await"
	"github.com/seed-7a112592/gristmill/test/fakeprovider"
)

// prompt is how soon an upload is answered while something is down.
const prompt = 3 * time.Second

// Uploads while one dependency is down, or hangs: what can be stored is
// accepted, what cannot is refused, and both are said at once.
func TestUploadsWhileADependencyIsDown(t *testing.T) {
	t.Parallel()
	m := newMill(t, sharedServers(t), fakeprovider.Options{})
	m.startAll()
	files := newFiles(m.random, 10)
	next := func() file {
		f := files[0]
		files = files[1:]
		return f
	}
	m.accepted(next())
	// What is in flight when PostgreSQL goes may be paid for again, so nothing is.
	await.Within(t, time.Minute, "what was accepted is embedded", func() bool {
		return m.direct.Count(`SELECT count(*) FROM tasks WHERE kind = 'knowledge' AND state = 'succeeded'`) == 1
	})

	m.postgres.down()
	m.refused(next())
	m.postgres.up()
	m.accepted(next())

	m.minio.down()
	m.refused(next())
	m.minio.up()
	m.accepted(next())

	m.redis.down()
	m.accepted(next())
	m.redis.up()
	m.redis.add("timeout", fromServer, 1, map[string]any{"timeout": 0}) // nothing comes back, and nothing ends
	m.accepted(next())
	m.redis.remove("timeout", fromServer)
	m.accepted(next())
	m.audit(2*time.Minute, 0)
}

// accepted uploads a file, which must be accepted soon.
func (m *mill) accepted(f file) {
	m.t.Helper()
	c := m.client() // once the API listens
	began := time.Now()
	if _, err := m.books.Upload(m.t.Context(), c, f.key, f.text); err != nil {
		m.t.Errorf("upload %s: %v", f.key, err)
	}
	if took := time.Since(began); took > prompt {
		m.t.Errorf("the upload of %s was accepted after %s", f.key, took)
	}
}

// refused uploads a file, which must be refused with 503, and when to come
// again.
func (m *mill) refused(f file) {
	m.t.Helper()
	began := time.Now()
	_, err := m.books.Upload(m.t.Context(), m.client(), f.key, f.text)
	took := time.Since(began)
	if p, ok := errors.AsType[*client.Problem](err); !ok || p.Status != http.StatusServiceUnavailable || p.RetryAfter <= 0 {
		m.t.Errorf("upload %s: %v, want 503 with Retry-After", f.key, err)
	}
	m.t.Logf("refused after %s: %v", took.Round(time.Millisecond), err)
}
