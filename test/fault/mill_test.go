package fault_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/seed-7a112592/gristmill/pkg/client"
	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/test/audit"
	"github.com/seed-7a112592/gristmill/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/test/program"
)

// batch is how many passages there are in a request to the provider, at the
// most.
const batch = 64

// mill is an installation whose every connection can be broken, and the books
// of what was uploaded to it.
type mill struct {
	t        *testing.T
	random   *rand.Rand
	direct   *program.Site // as the audit sees it
	site     *program.Site // as the programs do: through the proxies
	postgres *proxy
	redis    *proxy
	minio    *proxy
	models   *proxy // to the gate
	gate     *gate
	provider *fakeprovider.Provider
	books    audit.Books

	mu       sync.Mutex
	programs []*program.Program
	api      *program.Program
}

// newMill sets up an installation with a provider and no programs yet. More is
// their environment.
func newMill(t *testing.T, servers *servers, provider fakeprovider.Options, more ...string) *mill {
	t.Helper()
	provider.Dimensions, provider.RecordTexts = 64, true
	m := &mill{t: t, random: random(t), provider: fakeprovider.Start(t, provider)}
	m.gate = newGate(t, m.provider)
	m.direct = program.NewSiteOn(t, servers.Set)
	site := *m.direct
	m.site = &site
	models := m.gate.URL + "/v1"
	m.models = m.interpose("models", &models)
	m.site.More = append([]string{
		"GRISTMILL_OPENAI_BASE_URL=" + models,
		"GRISTMILL_EMBEDDING_MODEL=fake",
		"GRISTMILL_EMBEDDING_DIMENSIONS=64",
		"GRISTMILL_SUMMARY_MODEL=fake",
	}, more...)
	m.postgres = m.interpose("postgres", &m.site.Database)
	m.redis = m.interpose("redis", &m.site.Redis)
	m.minio = m.interpose("minio", &m.site.S3.Endpoint)
	t.Cleanup(func() {
		if t.Failed() {
			m.dumpLogs()
		}
	})
	return m
}

// interpose puts a proxy before the server of a URL.
func (m *mill) interpose(name string, address *string) *proxy {
	m.t.Helper()
	u, err := url.Parse(*address)
	if err != nil {
		m.t.Fatal(err)
	}
	p := newProxy(m.t, name, u.Host)
	u.Host = p.addr()
	*address = u.String()
	return p
}

// start starts a program.
func (m *mill) start(name string) *program.Program {
	m.t.Helper()
	return m.started(name, m.site.Start(name))
}

// startIn starts a program in a cgroup.
func (m *mill) startIn(g *cgroup, name string) *program.Program {
	m.t.Helper()
	shell, args := g.command(m.t, name)
	return m.started(name, m.site.Start(shell, args...))
}

func (m *mill) started(name string, p *program.Program) *program.Program {
	p.Name = name
	m.mu.Lock()
	defer m.mu.Unlock()
	m.programs = append(m.programs, p)
	if name == "api" {
		m.api = p
	}
	return p
}

// startAll starts all programs.
func (m *mill) startAll() {
	m.t.Helper()
	for _, name := range programs {
		m.start(name)
	}
}

var programs = []string{"api", "worker-knowledge", "worker-summary"}

// client returns a client of the API that was started last.
func (m *mill) client() *client.Client {
	m.t.Helper()
	m.mu.Lock()
	api := m.api
	m.mu.Unlock()
	return api.Client(program.Key)
}

// uploadAll uploads files, several at a time, each again and again until it is
// accepted.
func (m *mill) uploadAll(files []file) {
	m.t.Helper()
	var group errgroup.Group
	group.SetLimit(4)
	for _, f := range files {
		group.Go(func() error { return m.upload(f) })
	}
	if err := group.Wait(); err != nil {
		m.t.Error(err)
	}
}

// upload uploads a file until it is accepted. What is not accepted is asked
// for again when the API says, or at once when it has gone.
func (m *mill) upload(f file) error {
	ctx, cancel := context.WithTimeout(m.t.Context(), 2*time.Minute)
	defer cancel()
	for {
		_, err := m.books.Upload(ctx, m.client(), f.key, f.text)
		if err == nil || ctx.Err() != nil {
			return err
		}
		pause := 100 * time.Millisecond
		if p, ok := errors.AsType[*client.Problem](err); ok {
			if p.Status < 500 && p.RetryAfter == 0 {
				return err
			}
			pause = max(pause, p.RetryAfter)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// audit waits until all is done, and holds the installation to its promises.
// Every job must have succeeded, but for those of versions that were superseded
// before they were begun.
func (m *mill) audit(limit time.Duration, allowance int) {
	m.t.Helper()
	c := m.client()
	audit.Audit{Site: m.direct, Client: c, Books: &m.books, Provider: m.provider, Allowance: allowance}.Run(m.t, limit)
	for _, job := range audit.Jobs(m.t, c) {
		reason := job.Tasks.Knowledge.Error + job.Tasks.Summary.Error
		if job.State != document.Succeeded && !(job.State == document.Cancelled && strings.Contains(reason, "superseded")) {
			m.t.Errorf("job %s is %s: %s", job.ID, job.State, reason)
		}
	}
}

// dumpLogs shows what the programs complained of.
func (m *mill) dumpLogs() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.programs {
		m.t.Log(p.Complaints())
	}
}
