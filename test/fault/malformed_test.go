package fault_test

import (
	"bufio"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/internal/test/audit"
	"github.com/seed-7a112592/gristmill/internal/test/await"
	"github.com/seed-7a112592/gristmill/internal/test/badrequests"
	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/internal/test/program"
)

// A thousand malformed requests, over every route, are refused, and nothing is
// left of them.
func TestMalformedRequests(t *testing.T) {
	t.Parallel()
	m := newTestEnv(t, sharedServers(t), fakeprovider.Options{})
	api := m.start("api") // and no worker, which would change things of its own accord
	for _, f := range newFiles(m.random, 5) {
		m.wantAccepted(f)
	}
	send := func(requests int) {
		t.Helper()
		wrong, err := badrequests.Run(t.Context(), badrequests.Config{
			BaseURL: api.URL(), Key: program.APIKey, Seed: m.random.Uint64(), Requests: requests,
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, err := range wrong {
			t.Error(err)
		}
	}
	before := audit.Snapshot(t, m.direct)
	send(100) // so that connections to the servers are open
	running := goroutines(t, api)
	send(1000)

	var changes string
	t.Cleanup(func() {
		if changes != "" {
			t.Logf("what has changed (-before +after):\n%s", changes)
		}
	})
	await.Until(t, "everything is as before", func() bool { // some break off, which the server sees in its own time
		changes = cmp.Diff(before, audit.Snapshot(t, m.direct))
		return changes == ""
	})
	// Some requests are refused only when a part of their body has gone to
	// object storage: a connection that was opened for one waits a while for
	// the next, with two goroutines. There is at most one for each of the
	// requests that were sent at a time.
	const idle = 2 * badrequests.Parallel
	await.Until(t, "no goroutine is left of the requests", func() bool { return goroutines(t, api) <= running+idle })
	t.Logf("%d goroutines before, %d after", running, goroutines(t, api))

	m.start("worker-knowledge")
	m.start("worker-summary")
	m.audit(time.Minute, 0)
}

// goroutines returns how many goroutines a program has.
func goroutines(t *testing.T, p *program.Program) int {
	t.Helper()
	return int(metric(t, p, "go_goroutines"))
}

// metric returns a metric of a program that has no labels.
func metric(t *testing.T, p *program.Program, name string) float64 {
	t.Helper()
	response, err := http.Get(p.URL() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		if value, found := strings.CutPrefix(lines.Text(), name+" "); found {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("no %s in the metrics", name)
	return 0
}
