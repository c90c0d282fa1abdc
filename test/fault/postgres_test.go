package fault_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/test/await"
	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
)

// PostgreSQL is restarted, cleanly and after a crash, and connections are cut in the middle of a
// COPY. Readers always see complete versions.
func TestPostgresRestartsAndCutWrites(t *testing.T) {
	t.Parallel()
	servers := ownServers(t)
	m := newTestEnv(t, servers, fakeprovider.Options{Latency: 20 * time.Millisecond, TextsPerSecond: 100}, "GRISTMILL_WORKER_CONCURRENCY=4")
	m.start("api")
	m.start("worker-summary")
	worker := m.start("worker-knowledge")
	documents := []*updatedDocument{newUpdatedDocument(m, "moving-0.md"), newUpdatedDocument(m, "moving-1.md")}

	files := newFiles(m.random, ifShort(60, 200))
	var uploads sync.WaitGroup
	uploads.Go(func() { m.uploadAll(files) })
	progress := func(passages int) {
		t.Helper()
		from := m.provider.Counts().TextsAnswered
		await.Within(t, time.Minute, "the work continues", func() bool { return m.provider.Counts().TextsAnswered >= from+passages })
		for _, d := range documents {
			uploads.Go(d.uploadNext)
		}
	}

	progress(20)
	servers.stop(t, "postgres")
	servers.start(t, "postgres")
	progress(20)
	for cut := range ifShort(2, 10) {
		before := strings.Count(worker.Output(), "insert passages")
		m.postgres.addToxic("limit_data", toServer, 1, map[string]any{"bytes": 10_000 + m.random.IntN(20_000)})
		await.Within(t, time.Minute, "a COPY is cut", func() bool { return strings.Count(worker.Output(), "insert passages") > before })
		m.postgres.removeToxic("limit_data", toServer)
		t.Logf("cut %d", cut+1)
	}
	progress(20)
	servers.stop(t, "postgres", "--kill")
	servers.start(t, "postgres")
	progress(20)

	uploads.Wait()
	m.audit(5*time.Minute, 16*maxBatchPassages)
	for _, d := range documents {
		d.stopReading()
		if d.seen == 0 {
			t.Errorf("the reader of %s saw no new version", d.key)
		}
	}
}
