package fault_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/test/fakeprovider"
)

// Every connection is slow, and now and then one breaks.
func TestSlowAndBrokenConnections(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes longer than the short form has")
	}
	m := newMill(t, sharedServers(t), fakeprovider.Options{})
	proxies := []*proxy{m.postgres, m.redis, m.minio, m.models}
	for _, p := range proxies {
		p.latency(200)
		p.reset(1, m.random.Uint64())
	}
	m.startAll()
	files := make([]file, 60)
	for i := range files {
		files[i] = newFile(m.random, fmt.Sprintf("file-%02d.md", i), 1+m.random.IntN(16), 4)
	}
	m.uploadAll(files)
	m.audit(10*time.Minute, len(files)*batch)
}
