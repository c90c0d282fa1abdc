package fault_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"testing"

	"github.com/seed-7a112592/gristmill/internal/test/await"
	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/internal/test/program"
)

// Programs that start before the servers that they need report what is missing, wait, and work when
// the servers are up.
func TestProgramsStartBeforeTheirServers(t *testing.T) {
	t.Parallel()
	m := newTestEnv(t, sharedServers(t), fakeprovider.Options{})
	servers := map[string]*proxy{"database": m.postgres, "redis": m.redis, "objects": m.minio}
	for _, p := range servers {
		p.down()
	}
	m.startAll()
	missing := map[string]bool{"database": true, "redis": true, "objects": true}
	m.awaitReadiness(missing)
	// In an order that depends on the seed.
	names := []string{"database", "redis", "objects"}
	m.random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	for _, name := range names {
		servers[name].up()
		delete(missing, name)
		m.awaitReadiness(missing)
	}
	for _, f := range newFiles(m.random, 5) {
		m.wantAccepted(f)
	}
	m.audit(await.Deadline, 0)
}

// expectedChecks lists the checks that each program reports.
var expectedChecks = map[string][]string{
	"api":              {"database", "models", "objects", "redis"},
	"worker-knowledge": {"database", "indexes", "models", "objects", "redis", "sessions"},
	"worker-summary":   {"database", "models", "objects", "redis"},
}

// awaitReadiness waits until every program reports exactly these servers as failing.
func (m *testEnv) awaitReadiness(missing map[string]bool) {
	m.t.Helper()
	for _, p := range m.programs {
		var state readiness
		await.Until(m.t, p.Name+" reports exactly the missing servers", func() bool {
			state = m.ready(p)
			if !slices.Equal(slices.Sorted(maps.Keys(state.Checks)), expectedChecks[p.Name]) {
				return false
			}
			for name, check := range state.Checks {
				if name == "sessions" { // a check of the database
					name = "database"
				}
				if (check != "ok") != missing[name] {
					return false
				}
			}
			needed := maps.Clone(missing)
			if p.Name == "api" {
				delete(needed, "redis") // optional for the API
			}
			return (state.status == http.StatusOK) == (len(needed) == 0)
		})
		m.t.Logf("%s: %d %v", p.Name, state.status, state.Checks)
		var degraded []string
		if p.Name == "api" && missing["redis"] {
			degraded = []string{"redis"}
		}
		if !slices.Equal(state.Degraded, degraded) {
			m.t.Errorf("%s reports degraded %q while %v are missing", p.Name, state.Degraded, missing)
		}
		for name, check := range state.Checks {
			if check != "ok" && check != "failing" {
				m.t.Errorf("%s answers a request without a key that %s is %q", p.Name, name, check)
			}
		}
	}
}

// readiness is the answer to /readyz.
type readiness struct {
	status   int
	Degraded []string
	Checks   map[string]string
}

// ready returns the readiness of a program. /healthz must always answer 200.
func (m *testEnv) ready(p *program.Program) (state readiness) {
	m.t.Helper()
	for _, path := range []string{"/healthz", "/readyz"} {
		response, err := http.Get(p.URL() + path)
		if err != nil {
			m.t.Fatalf("%s %s: %v", p.Name, path, err)
		}
		state = readiness{status: response.StatusCode}
		err = json.NewDecoder(response.Body).Decode(&state)
		response.Body.Close()
		if err != nil || path == "/healthz" && state.status != http.StatusOK {
			m.t.Fatalf("%s %s: %d, %v", p.Name, path, state.status, err)
		}
	}
	return state
}
