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

// Programs that start before anything they need say what is missing, wait, and
// work when it has come.
func TestProgramsStartBeforeTheirServers(t *testing.T) {
	t.Parallel()
	m := newTestEnv(t, sharedServers(t), fakeprovider.Options{})
	servers := map[string]*proxy{"database": m.postgres, "redis": m.redis, "objects": m.minio}
	for _, p := range servers {
		p.down()
	}
	m.startAll()
	lacking := map[string]bool{"database": true, "redis": true, "objects": true}
	m.awaitReadiness(lacking)
	// In an order that differs from seed to seed.
	names := []string{"database", "redis", "objects"}
	m.random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	for _, name := range names {
		servers[name].up()
		delete(lacking, name)
		m.awaitReadiness(lacking)
	}
	for _, f := range newFiles(m.random, 5) {
		m.wantAccepted(f)
	}
	m.audit(await.Deadline, 0)
}

// expectedChecks are what each program tells of itself.
var expectedChecks = map[string][]string{
	"api":              {"database", "models", "objects", "redis"},
	"worker-knowledge": {"database", "indexes", "models", "objects", "redis", "sessions"},
	"worker-summary":   {"database", "models", "objects", "redis"},
}

// awaitReadiness waits until every program says of exactly these servers that
// they cannot be used.
func (m *testEnv) awaitReadiness(lacking map[string]bool) {
	m.t.Helper()
	for _, p := range m.programs {
		var state readiness
		await.Until(m.t, p.Name+" says what is missing, and only that", func() bool {
			state = m.ready(p)
			if !slices.Equal(slices.Sorted(maps.Keys(state.Checks)), expectedChecks[p.Name]) {
				return false
			}
			for name, check := range state.Checks {
				if name == "sessions" { // of the database
					name = "database"
				}
				if (check != "ok") != lacking[name] {
					return false
				}
			}
			needed := maps.Clone(lacking)
			if p.Name == "api" {
				delete(needed, "redis") // which it can do without
			}
			return (state.status == http.StatusOK) == (len(needed) == 0)
		})
		m.t.Logf("%s: %d %v", p.Name, state.status, state.Checks)
		var degraded []string
		if p.Name == "api" && lacking["redis"] {
			degraded = []string{"redis"}
		}
		if !slices.Equal(state.Degraded, degraded) {
			m.t.Errorf("%s says that it is degraded by %q while %v are lacking", p.Name, state.Degraded, lacking)
		}
		for name, check := range state.Checks {
			if check != "ok" && check != "failing" {
				m.t.Errorf("%s tells a request without a key that %s is %q", p.Name, name, check)
			}
		}
	}
}

// readiness is an answer of /readyz.
type readiness struct {
	status   int
	Degraded []string
	Checks   map[string]string
}

// ready asks a program whether it is ready; alive it always is.
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
