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

	"github.com/seed-7a112592/gristmill/internal/test/audit"
	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/internal/test/program"
	"github.com/seed-7a112592/gristmill/pkg/client"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// maxBatchPassages is the maximum number of passages in a request to the provider.
const maxBatchPassages = 64

// testEnv is an installation in which every connection can be broken, and a log of the uploads to
// it.
type testEnv struct {
	t             *testing.T
	random        *rand.Rand
	direct        *program.Installation // addresses for the audit: without proxies
	proxied       *program.Installation // addresses for the programs: through the proxies
	postgres      *proxy
	redis         *proxy
	minio         *proxy
	providerProxy *proxy // in front of the gate
	gate          *providerGate
	provider      *fakeprovider.Provider
	uploads       audit.UploadLog

	mu       sync.Mutex
	programs []*program.Program
	api      *program.Program
}

// newTestEnv sets up an installation with a provider, but no programs yet. more is added to the
// environment of the programs.
func newTestEnv(t *testing.T, servers *servers, provider fakeprovider.Options, more ...string) *testEnv {
	t.Helper()
	provider.Dimensions, provider.RecordTexts = 64, true
	m := &testEnv{t: t, random: random(t), provider: fakeprovider.Start(t, provider)}
	m.gate = newProviderGate(t, m.provider)
	m.direct = program.NewInstallationOn(t, servers.Servers)
	proxied := *m.direct
	m.proxied = &proxied
	models := m.gate.URL + "/v1"
	m.providerProxy = m.addProxy("models", &models)
	m.proxied.ExtraEnv = append([]string{
		"GRISTMILL_OPENAI_BASE_URL=" + models,
		"GRISTMILL_EMBEDDING_MODEL=fake",
		"GRISTMILL_EMBEDDING_DIMENSIONS=64",
		"GRISTMILL_SUMMARY_MODEL=fake",
	}, more...)
	m.postgres = m.addProxy("postgres", &m.proxied.AppURL)
	m.redis = m.addProxy("redis", &m.proxied.RedisURL)
	m.minio = m.addProxy("minio", &m.proxied.S3.Endpoint)
	t.Cleanup(func() {
		if t.Failed() {
			m.dumpLogs()
		}
	})
	return m
}

// addProxy starts a proxy for the server in a URL, and replaces the address in the URL by that of
// the proxy.
func (m *testEnv) addProxy(name string, address *string) *proxy {
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
func (m *testEnv) start(name string) *program.Program {
	m.t.Helper()
	return m.trackProgram(name, m.proxied.Start(name))
}

// startInCgroup starts a program in a cgroup.
func (m *testEnv) startInCgroup(g *cgroup, name string) *program.Program {
	m.t.Helper()
	shell, args := g.command(m.t, name)
	return m.trackProgram(name, m.proxied.Start(shell, args...))
}

func (m *testEnv) trackProgram(name string, p *program.Program) *program.Program {
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
func (m *testEnv) startAll() {
	m.t.Helper()
	for _, name := range programs {
		m.start(name)
	}
}

var programs = []string{"api", "worker-knowledge", "worker-summary"}

// client returns a client of the API server that was started last.
func (m *testEnv) client() *client.Client {
	m.t.Helper()
	m.mu.Lock()
	api := m.api
	m.mu.Unlock()
	return api.Client(program.APIKey)
}

// uploadAll uploads files, four at a time. It retries each until it is accepted.
func (m *testEnv) uploadAll(files []file) {
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

// upload uploads a file until it is accepted. It retries after the delay in Retry-After, or soon if
// the server is down.
func (m *testEnv) upload(f file) error {
	ctx, cancel := context.WithTimeout(m.t.Context(), 2*time.Minute)
	defer cancel()
	for {
		_, err := m.uploads.Upload(ctx, m.client(), f.key, f.text)
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

// audit waits until all work has ended, then audits the installation. Every job must have
// succeeded, except those of versions that were superseded before they were started.
func (m *testEnv) audit(limit time.Duration, allowance int) {
	m.t.Helper()
	c := m.client()
	audit.Audit{Installation: m.direct, Client: c, Uploads: &m.uploads, Provider: m.provider, MaxWasted: allowance}.Run(m.t, limit)
	for _, job := range audit.Jobs(m.t, c) {
		reason := job.Tasks.Knowledge.Error + job.Tasks.Summary.Error
		if job.State != document.JobSucceeded && !(job.State == document.JobCancelled && strings.Contains(reason, "superseded")) {
			m.t.Errorf("job %s is %s: %s", job.ID, job.State, reason)
		}
	}
}

// dumpLogs logs the programs' warnings.
func (m *testEnv) dumpLogs() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.programs {
		m.t.Log(p.LogWarnings())
	}
}
