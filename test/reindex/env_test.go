package reindex_test

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/seed-7a112592/gristmill/internal/test/audit"
	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/internal/test/program"
	"github.com/seed-7a112592/gristmill/pkg/client"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// The provider's models. All collections start with the small one.
var (
	smallModel = document.Model{Name: "text-embedding-3-small", Dimensions: 64}
	largeModel = document.Model{Name: "text-embedding-3-large", Dimensions: 1536}
	fixedModel = document.Model{Name: "fixed", Dimensions: 48} // ignores the requested dimensions
)

// batchPassages is the number of passages that a crash may cost: here, a reindex has one request in
// flight.
const batchPassages = 8

// collection is the default collection, to which uploads and searches without a collection refer.
const collection = "default"

// testEnv is an installation, and a log of the uploads to it.
type testEnv struct {
	t            *testing.T
	installation *program.Installation
	provider     *fakeprovider.Provider
	uploads      audit.UploadLog

	mu      sync.Mutex
	running map[string]*program.Program
	all     []*program.Program
}

var programs = []string{"api", "worker-knowledge", "worker-summary"}

// newTestEnv sets up an installation whose provider has the given latency, and starts its programs.
// more is added to their environment.
func newTestEnv(t *testing.T, latency time.Duration, more ...string) *testEnv {
	t.Helper()
	m := &testEnv{t: t, running: map[string]*program.Program{}, provider: fakeprovider.Start(t, fakeprovider.Options{
		Latency: latency, Semantic: true, RecordTexts: true,
		Models: map[string]int{smallModel.Name: 0, largeModel.Name: 0, fixedModel.Name: fixedModel.Dimensions},
	})}
	m.installation = program.NewInstallation(t, append([]string{
		"GRISTMILL_OPENAI_BASE_URL=" + m.provider.URL(),
		"GRISTMILL_EMBEDDING_MODEL=" + smallModel.Name,
		"GRISTMILL_EMBEDDING_DIMENSIONS=" + strconv.Itoa(smallModel.Dimensions),
		"GRISTMILL_EMBEDDING_BATCH=" + strconv.Itoa(batchPassages),
		"GRISTMILL_REINDEX_CONCURRENCY=1",
		// Long, because the machine may be busy: these tests do not check the time of a search.
		"GRISTMILL_SEARCH_TIMEOUT=20s",
	}, more...)...)
	m.start(programs...)
	t.Cleanup(func() {
		if t.Failed() {
			m.dumpLogs()
		}
	})
	return m
}

// start starts programs.
func (m *testEnv) start(names ...string) {
	m.t.Helper()
	for _, name := range names {
		p := m.installation.Start(name)
		m.mu.Lock()
		m.running[name] = p
		m.all = append(m.all, p)
		m.mu.Unlock()
	}
}

// stop stops all programs, one after the other. Each must exit with 0.
func (m *testEnv) stop() {
	m.t.Helper()
	for _, name := range programs {
		if status := m.program(name).Stop(); status != 0 {
			m.t.Errorf("%s exited with %d", name, status)
		}
	}
}

// restart stops all programs and starts them again, with additions to their environment that
// override earlier values.
func (m *testEnv) restart(more ...string) {
	m.t.Helper()
	m.stop()
	m.installation.ExtraEnv = append(m.installation.ExtraEnv, more...)
	m.start(programs...)
}

// crashWorker kills the knowledge worker, which re-indexes, and starts another.
func (m *testEnv) crashWorker() {
	m.t.Helper()
	m.program("worker-knowledge").Kill()
	m.expireLeases()
	m.start("worker-knowledge")
}

// expireLeases expires, with -short, the leases and in-flight locks of workers. Without -short the
// tests wait until they expire.
func (m *testEnv) expireLeases() {
	m.t.Helper()
	if !testing.Short() {
		return
	}
	m.installation.Exec(`UPDATE reindexes SET lease_until = now() WHERE state = 'running'`)
	m.installation.Exec(`UPDATE tasks SET lease_until = now() WHERE kind = 'knowledge' AND state = 'running'`)
	options, err := redis.ParseURL(m.installation.RedisURL)
	if err != nil {
		m.t.Fatal(err)
	}
	locks := redis.NewClient(options)
	defer locks.Close()
	names, err := locks.Keys(m.t.Context(), "claim:*").Result()
	if err == nil && len(names) > 0 {
		err = locks.Del(m.t.Context(), names...).Err()
	}
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *testEnv) program(name string) *program.Program {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.running[name]
}

// client returns a client of the API.
func (m *testEnv) client() *client.Client {
	m.t.Helper()
	return m.program("api").Client(program.APIKey)
}

// upload uploads files, eight at a time, and waits until searches find them.
func (m *testEnv) upload(files []file) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), 4*time.Minute)
	defer cancel()
	c := m.client()
	var group errgroup.Group
	group.SetLimit(8)
	for _, f := range files {
		group.Go(func() error {
			_, err := m.uploadAndWait(ctx, c, f)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		m.t.Fatal(err)
	}
}

// audit waits until all work has ended and audits the installation. allowance is the number of
// passages that may have been sent without need.
func (m *testEnv) audit(allowance int) {
	m.t.Helper()
	m.auditUsage(m.provider, allowance)
}

// auditUsage is audit with the provider whose usage is checked, or nil to check none.
func (m *testEnv) auditUsage(provider *fakeprovider.Provider, allowance int) {
	m.t.Helper()
	c := m.client()
	audit.Audit{
		Installation: m.installation, Client: c, Uploads: &m.uploads, Provider: provider, MaxWasted: allowance, Queries: []string{question},
	}.Run(m.t, 2*time.Minute)
	for _, job := range audit.Jobs(m.t, c) {
		if job.State != document.JobSucceeded {
			m.t.Errorf("job %s is %s: %s", job.ID, job.State, job.Error)
		}
	}
}

// dumpLogs logs the programs' warnings.
func (m *testEnv) dumpLogs() {
	for _, p := range m.all {
		m.t.Log(p.LogWarnings())
	}
}
