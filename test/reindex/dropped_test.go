package reindex_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/test/audit"
	"github.com/seed-7a112592/gristmill/test/await"
)

// Once its time is over the space that was live before goes, with all that it
// holds, and nobody notices.
func TestOldSpaceIsDropped(t *testing.T) {
	t.Parallel()
	m := newMill(t, 10*time.Millisecond, "GRISTMILL_REINDEX_SOAK=2s")
	tr := newTraffic(m, corpusFiles(t, short(8, 100)))
	tr.start()
	old := m.site.Count(`SELECT live_space FROM collections WHERE name = $1`, collection)
	tr.spaces.turn(large)
	reindex := m.succeed(m.begin(toModel(large)).ID)
	tr.spaces.switched()

	await.Within(t, 2*time.Minute, "the old space and all that it held are gone", func() bool {
		return m.site.Count(`SELECT (to_regclass('passages_' || $1::bigint) IS NOT NULL)::integer
		                     + (SELECT count(*) FROM spaces WHERE id = $1)
		                     + (SELECT count(*) FROM manifest WHERE space = $1)
		                     + (SELECT count(*) FROM placements WHERE space = $1)`, old) == 0
	})
	before := m.site.Count(`SELECT count(*) FROM spaces`)
	detail := m.refused(http.StatusConflict, "conflict", "/v1/reindexes/"+reindex.ID.String()+"/revert", nil)
	t.Logf("reverting is refused: %s", detail)
	if now := m.site.Count(`SELECT count(*) FROM spaces`); now != before {
		t.Errorf("there were %d spaces, and now %d", before, now)
	}
	m.wantLive(large)
	tr.awaitWrites(6)
	tr.awaitAnswers(50)
	tr.end()

	// A space that is being built does not go, however long that takes.
	tr.spaces.turn(small)
	id := m.begin(toModel(small)).ID
	m.must(m.client().PauseReindex(t.Context(), id))
	audit.Sweep(t, m.site)
	m.must(m.client().ResumeReindex(t.Context(), id))
	m.succeed(id)
	tr.spaces.switched()
	if err := tr.ask(t.Context(), nil); err != nil {
		t.Errorf("after the pause: %v", err)
	}
	m.auditSpending(nil, 0) // what the spaces before had cannot be told any more
}
