package fault_test

import (
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/test/fakeprovider"
)

// Every connection is slow, and now and then one breaks.
func TestSlowAndBrokenConnections(t *testing.T) {
	t.Parallel()
	m := newMill(t, sharedServers(t), fakeprovider.Options{})
	proxies := []*proxy{m.postgres, m.redis, m.minio, m.models}
	for _, p := range proxies {
		p.latency(200)
		p.reset(1, m.random.Uint64())
	}
	m.startAll()
	files := newFiles(m.random, short(24, 100))
	m.uploadAll(files)
	m.audit(10*time.Minute, len(files)*batch)
}
