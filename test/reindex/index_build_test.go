package reindex_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/test/await"
	"github.com/seed-7a112592/gristmill/internal/test/program"
)

// A space that grows beyond the threshold gets an index while it is searched and written. Searches
// and uploads continue.
func TestIndexIsBuiltUnderTraffic(t *testing.T) {
	t.Parallel()
	threshold := ifShort(400, 3000)
	m := newTestEnv(t, 10*time.Millisecond, "GRISTMILL_INDEX_THRESHOLD="+strconv.Itoa(threshold))
	tr := newTraffic(m, corpusFiles(t, 8))
	tr.start()
	if n := m.installation.QueryInt(`SELECT count(*) FROM ` + program.AllPassagesSQL + ` p`); n >= threshold || m.countIndexes() != 0 {
		t.Fatalf("the test starts with %d passages and %d indexes; it needs fewer than the threshold, and no index", n, m.countIndexes())
	}

	const sections = 40
	files := make([]file, threshold/sections+5)
	for i := range files {
		files[i] = plainFile(fmt.Sprintf("grown/%d.md", i), sections, 3)
	}
	m.upload(files)
	if testing.Short() {
		m.crashWorker() // a worker looks for such spaces at its start, and then every half minute
	}
	await.Within(t, 3*time.Minute, "the space is indexed", func() bool {
		return m.countIndexes() == 1 && m.installation.QueryInt(`SELECT count(*) FROM spaces WHERE indexed`) == 1
	})
	tr.awaitWrites(6)
	tr.awaitAnswers(100)
	await.Until(t, "the index answers searches", func() bool {
		return m.installation.QueryInt(`SELECT coalesce(sum(idx_scan), 0) FROM pg_stat_user_indexes i JOIN pg_class c ON c.oid = i.indexrelid
		                     JOIN pg_am a ON a.oid = c.relam WHERE a.amname = 'hnsw'`) > 0
	})
	tr.end()
	m.audit(maxCrashLoss)
}

// countIndexes returns the number of valid vector indexes.
func (m *testEnv) countIndexes() int {
	m.t.Helper()
	return m.installation.QueryInt(`SELECT count(*) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
	                     WHERE a.amname = 'hnsw' AND i.indisvalid AND c.relkind = 'i'`)
}
