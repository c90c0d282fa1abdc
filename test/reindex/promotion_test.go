package reindex_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/test/await"
	"github.com/seed-7a112592/gristmill/test/program"
)

// A space that grows past the threshold gets an index, while it is searched and
// written to, and nobody notices.
func TestPromotion(t *testing.T) {
	t.Parallel()
	threshold := short(400, 3000)
	m := newMill(t, 10*time.Millisecond, "GRISTMILL_INDEX_THRESHOLD="+strconv.Itoa(threshold))
	tr := newTraffic(m, corpusFiles(t, 8))
	tr.start()
	if n := m.site.Count(`SELECT count(*) FROM ` + program.Passages + ` p`); n >= threshold || m.indexes() != 0 {
		t.Fatalf("%d passages are there to begin with, in a space with %d indexes; the test wants few, and none", n, m.indexes())
	}

	const sections = 40
	files := make([]file, threshold/sections+5)
	for i := range files {
		files[i] = plainFile(fmt.Sprintf("grown/%d.md", i), sections, 3)
	}
	m.upload(files)
	if testing.Short() {
		m.kill() // a worker looks for such spaces when it starts, and else every half minute
	}
	await.Within(t, 3*time.Minute, "the space is indexed", func() bool {
		return m.indexes() == 1 && m.site.Count(`SELECT count(*) FROM spaces WHERE indexed`) == 1
	})
	tr.awaitWrites(6)
	tr.awaitAnswers(100)
	await.Until(t, "the index answers searches", func() bool {
		return m.site.Count(`SELECT coalesce(sum(idx_scan), 0) FROM pg_stat_user_indexes i JOIN pg_class c ON c.oid = i.indexrelid
		                     JOIN pg_am a ON a.oid = c.relam WHERE a.amname = 'hnsw'`) > 0
	})
	tr.end()
	m.audit(crash)
}

// indexes is how many vector indexes there are that can be used.
func (m *mill) indexes() int {
	m.t.Helper()
	return m.site.Count(`SELECT count(*) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
	                     WHERE a.amname = 'hnsw' AND i.indisvalid AND c.relkind = 'i'`)
}
