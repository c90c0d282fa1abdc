package fault_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/test/await"
	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
)

// Every connection is slow, and some break.
func TestSlowAndBrokenConnections(t *testing.T) {
	t.Parallel()
	const sections = 12 // maximum number in a file
	m := newTestEnv(t, sharedServers(t), fakeprovider.Options{})
	proxies := []*proxy{m.postgres, m.redis, m.minio, m.providerProxy}
	for _, p := range proxies {
		p.latency(200)
		p.reset(1, m.random.Uint64())
	}
	m.startAll()
	files := make([]file, ifShort(6, 48))
	for i := range files {
		files[i] = newFile(m.random, fmt.Sprintf("file-%02d.md", i), 1+m.random.IntN(sections), 4)
	}
	m.uploadAll(files)
	await.Within(t, ifShort(3*time.Minute, 8*time.Minute), "every task has ended", func() bool {
		return m.direct.QueryInt(`SELECT count(*) FROM tasks WHERE state NOT IN ('succeeded', 'failed', 'cancelled')`) == 0
	})
	for _, p := range proxies {
		t.Logf("%d connections to %s were broken", p.resetCount(), p.proxy.Name)
	}
	// A response that is lost, or that could not be written, was for one file, which has about one
	// passage for each section.
	lost := m.providerProxy.resetCount() + len(files)/12 + 1
	for _, p := range proxies {
		p.removeAllToxics()
	}
	m.audit(time.Minute, lost*sections)
}
