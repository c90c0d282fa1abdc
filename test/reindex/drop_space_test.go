package reindex_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/test/audit"
	"github.com/seed-7a112592/gristmill/internal/test/await"
)

// The previous space is dropped with all its data when its retention ends. Searches and uploads
// continue.
func TestOldSpaceIsDropped(t *testing.T) {
	t.Parallel()
	m := newTestEnv(t, 10*time.Millisecond, "GRISTMILL_REINDEX_SOAK=2s")
	tr := newTraffic(m, corpusFiles(t, ifShort(8, 100)))
	tr.start()
	old := m.installation.QueryInt(`SELECT active_space FROM collections WHERE name = $1`, collection)
	tr.spaces.expectSwitch(largeModel)
	reindex := m.awaitSuccess(m.begin(toModel(largeModel)).ID)
	tr.spaces.confirmSwitch()

	await.Within(t, 2*time.Minute, "the old space and all its data are deleted", func() bool {
		return m.installation.QueryInt(`SELECT (to_regclass('passages_' || $1::bigint) IS NOT NULL)::integer
		                     + (SELECT count(*) FROM spaces WHERE id = $1)
		                     + (SELECT count(*) FROM manifest WHERE space = $1)
		                     + (SELECT count(*) FROM space_versions WHERE space = $1)`, old) == 0
	})
	before := m.installation.QueryInt(`SELECT count(*) FROM spaces`)
	detail := m.wantRefused(http.StatusConflict, "conflict", "/v1/reindexes/"+reindex.ID.String()+"/revert", nil)
	t.Logf("reverting is refused: %s", detail)
	if now := m.installation.QueryInt(`SELECT count(*) FROM spaces`); now != before {
		t.Errorf("there were %d spaces, now there are %d", before, now)
	}
	m.wantActiveModel(largeModel)
	tr.awaitWrites(6)
	tr.awaitAnswers(50)
	tr.end()

	// A space that is being built is not dropped, however long that takes.
	tr.spaces.expectSwitch(smallModel)
	id := m.begin(toModel(smallModel)).ID
	m.must(m.client().PauseReindex(t.Context(), id))
	audit.CollectGarbage(t, m.installation)
	m.must(m.client().ResumeReindex(t.Context(), id))
	m.awaitSuccess(id)
	tr.spaces.confirmSwitch()
	if err := tr.searchOnce(t.Context(), nil); err != nil {
		t.Errorf("after the pause: %v", err)
	}
	m.auditUsage(nil, 0) // nil: usage cannot be checked, because the dropped spaces' passages are unknown
}
