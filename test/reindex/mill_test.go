package reindex_test

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/seed-7a112592/gristmill/pkg/client"
	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/test/audit"
	"github.com/seed-7a112592/gristmill/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/test/program"
)

// The models of the provider. All collections begin with the small one.
var (
	small    = document.Model{Name: "text-embedding-3-small", Dimensions: 64}
	large    = document.Model{Name: "text-embedding-3-large", Dimensions: 1536}
	stubborn = document.Model{Name: "stubborn", Dimensions: 48} // whatever it is asked for
)

// unit is how many passages a crash may cost: a reindex has one request in
// flight here.
const unit = 8

// collection is the one that uploads and searches mean.
const collection = "default"

// mill is an installation, and the books of what was uploaded to it.
type mill struct {
	t        *testing.T
	site     *program.Site
	provider *fakeprovider.Provider
	books    audit.Books

	mu      sync.Mutex
	running map[string]*program.Program
	all     []*program.Program
}

var programs = []string{"api", "worker-knowledge", "worker-summary"}

// newMill sets up an installation whose provider takes so long for each
// request, and starts its programs. More is their environment.
func newMill(t *testing.T, latency time.Duration, more ...string) *mill {
	t.Helper()
	m := &mill{t: t, running: map[string]*program.Program{}, provider: fakeprovider.Start(t, fakeprovider.Options{
		Latency: latency, Semantic: true, RecordTexts: true,
		Models: map[string]int{small.Name: 0, large.Name: 0, stubborn.Name: stubborn.Dimensions},
	})}
	m.site = program.NewSite(t, append([]string{
		"GRISTMILL_OPENAI_BASE_URL=" + m.provider.URL(),
		"GRISTMILL_EMBEDDING_MODEL=" + small.Name,
		"GRISTMILL_EMBEDDING_DIMENSIONS=" + strconv.Itoa(small.Dimensions),
		"GRISTMILL_EMBEDDING_BATCH=" + strconv.Itoa(unit),
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
func (m *mill) start(names ...string) {
	m.t.Helper()
	for _, name := range names {
		p := m.site.Start(name)
		m.mu.Lock()
		m.running[name] = p
		m.all = append(m.all, p)
		m.mu.Unlock()
	}
}

// stop has all programs end, each in order.
func (m *mill) stop() {
	m.t.Helper()
	for _, name := range programs {
		if status := m.program(name).Stop(); status != 0 {
			m.t.Errorf("%s ended with %d", name, status)
		}
	}
}

// restart ends all programs and starts them anew, with more in their
// environment, which prevails.
func (m *mill) restart(more ...string) {
	m.t.Helper()
	m.stop()
	m.site.More = append(m.site.More, more...)
	m.start(programs...)
}

// kill ends the worker that re-indexes as a crash would, and starts another
// one.
func (m *mill) kill() {
	m.t.Helper()
	m.program("worker-knowledge").Kill()
	m.loseLeases()
	m.start("worker-knowledge")
}

// loseLeases has the leases and claims of workers that are silent be over, with
// -short. Else one has to wait until they are.
func (m *mill) loseLeases() {
	m.t.Helper()
	if !testing.Short() {
		return
	}
	m.site.Exec(`UPDATE reindexes SET lease_until = now() WHERE state = 'running'`)
	m.site.Exec(`UPDATE tasks SET lease_until = now() WHERE kind = 'knowledge' AND state = 'running'`)
	options, err := redis.ParseURL(m.site.Redis)
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

func (m *mill) program(name string) *program.Program {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.running[name]
}

// client returns a client of the API.
func (m *mill) client() *client.Client {
	m.t.Helper()
	return m.program("api").Client(program.Key)
}

// upload uploads files, several at a time, and waits until all can be found.
func (m *mill) upload(files []file) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), 4*time.Minute)
	defer cancel()
	c := m.client()
	var group errgroup.Group
	group.SetLimit(8)
	for _, f := range files {
		group.Go(func() error {
			_, err := m.add(ctx, c, f)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		m.t.Fatal(err)
	}
}

// audit waits until all is done and holds the installation to its promises. So
// many passages may have been sent in vain.
func (m *mill) audit(allowance int) {
	m.t.Helper()
	m.auditSpending(m.provider, allowance)
}

// auditSpending is audit with a provider whose books are to be looked at, or
// none.
func (m *mill) auditSpending(provider *fakeprovider.Provider, allowance int) {
	m.t.Helper()
	c := m.client()
	audit.Audit{
		Site: m.site, Client: c, Books: &m.books, Provider: provider, Allowance: allowance, Questions: []string{question},
	}.Run(m.t, 2*time.Minute)
	for _, job := range audit.Jobs(m.t, c) {
		if job.State != document.Succeeded {
			m.t.Errorf("job %s is %s: %s", job.ID, job.State, job.Error)
		}
	}
}

// dumpLogs shows what the programs complained of.
func (m *mill) dumpLogs() {
	for _, p := range m.all {
		m.t.Log(p.Complaints())
	}
}
