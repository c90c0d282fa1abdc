package reindex_test

import (
	"fmt"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/test/await"
	"github.com/seed-7a112592/gristmill/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/test/program"
)

// isRevertedToGaps switches back to a space in which documents are missing. The
// new one answers until the other is whole again.
func (c *modelChange) isRevertedToGaps() {
	c.finish()
	c.m.site.Exec(fmt.Sprintf(`DELETE FROM placements p USING documents d, spaces s
		WHERE d.id = p.document AND s.id = p.space AND s.model = '%s' AND d.key LIKE '%s%%'`, small.Name, stableKeys))
	c.traffic.spaces.turn(small)
	reindex := c.m.must(c.m.client().RevertReindex(c.t.Context(), c.id))
	if reindex.Stage != document.StageReverting || reindex.State.Ended() {
		c.t.Errorf("reverted, it is %s at %s", reindex.State, reindex.Stage)
	}
	if reindex = c.m.succeed(c.id); reindex.Stage != document.StageReverted {
		c.t.Errorf("it has ended at %s", reindex.Stage)
	}
	c.traffic.spaces.switched()
	c.m.wantLive(small)
	c.traffic.awaitWrites(3)
}

// isTakenOver has the worker stop for longer than its lease, so that another
// one takes the reindex over, and then go on.
func (c *modelChange) isTakenOver() {
	c.m.awaitProgress(c.id, 0.3)
	first := c.m.program("worker-knowledge")
	first.Signal(syscall.SIGSTOP)
	c.m.loseLeases()
	c.m.start("worker-knowledge")
	c.m.awaitProgress(c.id, 0.6)
	first.Signal(syscall.SIGCONT)
	c.finish()
	await.Within(c.t, time.Minute, "the first worker hears that it is not its reindex any more", func() bool { return first.LostLease() != "" })
}

// isIndexed has both spaces be searched by their indexes. A worker that starts
// looks at once for what has none.
func (c *modelChange) isIndexed() {
	c.m.awaitProgress(c.id, 0.2)
	c.m.kill()
	await.Within(c.t, time.Minute, "the space that is searched is indexed", func() bool {
		return c.m.site.Count(`SELECT count(*) FROM spaces WHERE indexed AND model = $1`, small.Name) == 1
	})
	c.finish()
	if n := c.m.site.Count(`SELECT count(*) FROM spaces WHERE indexed`); n != 2 || c.m.indexes() != 2 {
		c.t.Errorf("%d spaces are indexed, by %d indexes; want both", n, c.m.indexes())
	}
}

// isDoneAgain goes to the new space and back several times. What was bought is
// not bought again.
func (c *modelChange) isDoneAgain() {
	for range short(2, 6) {
		c.finish()
		c.traffic.spaces.turn(small)
		if reindex := c.m.must(c.m.client().RevertReindex(c.t.Context(), c.id)); reindex.Stage != document.StageReverted {
			c.t.Errorf("reverted, it is %s at %s", reindex.State, reindex.Stage)
		}
		c.traffic.spaces.switched()
		c.traffic.awaitWrites(3)
		c.traffic.spaces.turn(large)
		c.begin()
	}
	c.finish()
}

// hasFailingModel has the new model go away for a while, and then no longer be
// offered, which an operator mends. That is no concern of those who search and
// upload.
func (c *modelChange) hasFailingModel() {
	c.m.awaitProgress(c.id, 0.3)
	c.m.provider.FailModel(large.Name, fakeprovider.Status(http.StatusServiceUnavailable, "overloaded"), -1)
	c.awaitState(document.Waiting)
	c.traffic.awaitWrites(6)
	c.m.provider.FailModel(large.Name, nil, 0)
	c.m.awaitProgress(c.id, 0.5)

	c.m.provider.FailModel(large.Name, fakeprovider.Status(http.StatusBadRequest, "no longer offered"), -1)
	c.awaitState(document.Waiting)
	c.traffic.awaitWrites(6)
	c.traffic.awaitAnswers(50)
	c.m.wantLive(small)
	await.Until(c.t, "the reindex waits, and says why", func() bool { return c.m.reindex(c.id).Error != "" }) // it is tried now and then
	c.m.provider.FailModel(large.Name, nil, 0)
	c.finish()
}

func (c *modelChange) awaitState(state document.JobState) {
	c.t.Helper()
	await.Within(c.t, time.Minute, "the reindex is "+string(state), func() bool { return c.m.reindex(c.id).State == state })
}

// Documents are cut anew while they are searched, edited, uploaded and deleted,
// the reindex is cancelled and begun again, and the worker is killed twice. Then
// it is reverted, in one call.
func TestChunkingChange(t *testing.T) {
	t.Parallel()
	m := newMill(t, 40*time.Millisecond)
	tr := newTraffic(m, corpusFiles(t, short(12, 1000)))
	tr.start()
	change := document.ReindexRequest{Collection: collection, Tokens: 150}
	id := m.begin(change).ID
	m.awaitProgress(id, 0.2)
	m.must(m.client().CancelReindex(t.Context(), id))
	tr.awaitWrites(3)
	m.wantLiveTokens(400)
	id = m.begin(change).ID
	for _, share := range []float64{0.3, 0.7} {
		m.awaitProgress(id, share)
		m.kill()
	}
	m.succeed(id)
	m.wantLiveTokens(150)
	tr.awaitWrites(6)
	tr.awaitAnswers(50)
	if reindex := m.must(m.client().RevertReindex(t.Context(), id)); reindex.Stage != document.StageReverted {
		t.Errorf("reverted, it is %s at %s", reindex.State, reindex.Stage)
	}
	m.wantLiveTokens(400)
	tr.awaitWrites(3)
	tr.awaitAnswers(50)
	tr.awaitReads(2)
	tr.end()
	m.audit(unit + 2*crash)
}

// wantLiveTokens checks how long passages may be in the live space, and that
// none is longer, but some are about as long.
func (m *mill) wantLiveTokens(most int) {
	m.t.Helper()
	const live = `SELECT count(*) FROM ` + program.Passages + ` p JOIN spaces s ON s.id = p.space JOIN collections c ON c.live_space = s.id WHERE c.name = $1 AND `
	if n := m.site.Count(live+`(s.chunk_tokens <> $2 OR p.tokens > $2)`, collection, most); n > 0 {
		m.t.Errorf("%d passages of the live space are not of one with at most %d tokens", n, most)
	}
	if n := m.site.Count(live+`p.tokens > $2 / 2`, collection, most); n == 0 {
		m.t.Errorf("no passage of the live space is of more than %d tokens", most/2)
	}
}
