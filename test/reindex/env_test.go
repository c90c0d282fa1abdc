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

// The models of the provider. All collections begin with the small one.
var (
	smallModel = document.Model{Name: "text-embedding-3-small", Dimensions: 64}
	largeModel = document.Model{Name: "text-embedding-3-large", Dimensions: 1536}
	fixedModel = document.Model{Name: "stubborn", Dimensions: 48} // whatever it is asked for
)

// batchPassages is how many passages a crash may cost: a reindex has one request in
// flight here.
const batchPassages = 8

// collection is the one that uploads and searches mean.
const collection = "default"

// testEnv is an installation, and the books of what was uploaded to it.
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

// newTestEnv sets up an installation whose provider takes so long for each
// request, and starts its programs. More is their environment.
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
		// What a busy machine takes for a search is no matter here.
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

// stop has all programs end, each in order.
func (m *testEnv) stop() {
	m.t.Helper()
	for _, name := range programs {
		if status := m.program(name).Stop(); status != 0 {
			m.t.Errorf("%s ended with %d", name, status)
		}
	}
}

// restart ends all programs and starts them anew, with more in their
// environment, which prevails.
func (m *testEnv) restart(more ...string) {
	m.t.Helper()
	m.stop()
	m.installation.ExtraEnv = append(m.installation.ExtraEnv, more...)
	m.start(programs...)
}

// crashWorker ends the worker that re-indexes as a crash would, and starts another
// one.
func (m *testEnv) crashWorker() {
	m.t.Helper()
	m.program("worker-knowledge").Kill()
	m.expireLeases()
	m.start("worker-knowledge")
}

// expireLeases has the leases and claims of workers that are silent be over, with
// -short. Else one has to wait until they are.
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
	claims := redis.NewClient(options)
	defer claims.Close()
	names, err := claims.Keys(m.t.Context(), "claim:*").Result()
	if err == nil && len(names) > 0 {
		err = claims.Del(m.t.Context(), names...).Err()
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

// upload uploads files, several at a time, and waits until all can be found.
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

// audit waits until all is done and holds the installation to its promises. So
// many passages may have been sent in vain.
func (m *testEnv) audit(allowance int) {
	m.t.Helper()
	m.auditUsage(m.provider, allowance)
}

// auditUsage is audit with a provider whose books are to be looked at, or
// none.
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

// dumpLogs shows what the programs complained of.
func (m *testEnv) dumpLogs() {
	for _, p := range m.all {
		m.t.Log(p.LogWarnings())
	}
}
