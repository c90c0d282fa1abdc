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

// A thousand malformed requests to all routes are refused and leave nothing behind.
func TestMalformedRequests(t *testing.T) {
	t.Parallel()
	m := newTestEnv(t, sharedServers(t), fakeprovider.Options{})
	api := m.start("api") // no worker, because it would change data by itself
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
	send(100) // opens the connections to the servers
	running := goroutines(t, api)
	send(1000)

	var changes string
	t.Cleanup(func() {
		if changes != "" {
			t.Logf("changed data (-before +after):\n%s", changes)
		}
	})
	await.Until(t, "the stored data is as before", func() bool { // waits, because the server notices aborted requests late
		changes = cmp.Diff(before, audit.Snapshot(t, m.direct))
		return changes == ""
	})
	// Some requests are refused only after a part of their body was sent to object storage. The
	// connection for that stays idle for a while, with two goroutines. There is at most one such
	// connection for each parallel request.
	const idle = 2 * badrequests.Parallel
	await.Until(t, "the goroutines of the requests have ended", func() bool { return goroutines(t, api) <= running+idle })
	t.Logf("%d goroutines before, %d after", running, goroutines(t, api))

	m.start("worker-knowledge")
	m.start("worker-summary")
	m.audit(time.Minute, 0)
}

// goroutines returns the number of goroutines in a program.
func goroutines(t *testing.T, p *program.Program) int {
	t.Helper()
	return int(metric(t, p, "go_goroutines"))
}

// metric returns the value of a program's metric that has no labels.
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
	t.Fatalf("the metrics do not contain %s", name)
	return 0
}
