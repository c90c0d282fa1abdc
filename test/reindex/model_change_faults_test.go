package reindex_test

import (
	"fmt"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/test/await"
	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/internal/test/program"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// revertToIncomplete reverts to a space in which documents are missing. The new space stays active
// until the other one is complete again.
func (c *modelChange) revertToIncomplete() {
	c.awaitSwitch()
	c.env.installation.Exec(fmt.Sprintf(`DELETE FROM space_versions p USING documents d, spaces s
		WHERE d.id = p.document AND s.id = p.space AND s.model = '%s' AND d.key LIKE '%s%%'`, smallModel.Name, stableKeys))
	c.traffic.spaces.expectSwitch(smallModel)
	reindex := c.env.must(c.env.client().RevertReindex(c.t.Context(), c.id))
	if reindex.Stage != document.StageReverting || reindex.State.Ended() {
		c.t.Errorf("after the revert the reindex is %s at stage %s", reindex.State, reindex.Stage)
	}
	if reindex = c.env.awaitSuccess(c.id); reindex.Stage != document.StageReverted {
		c.t.Errorf("the reindex ended at stage %s", reindex.Stage)
	}
	c.traffic.spaces.confirmSwitch()
	c.env.wantActiveModel(smallModel)
	c.traffic.awaitWrites(3)
}

// takeOver suspends the worker for longer than its lease, so that another worker claims the
// reindex, and then resumes it.
func (c *modelChange) takeOver() {
	c.env.awaitProgress(c.id, 0.3)
	first := c.env.program("worker-knowledge")
	first.Signal(syscall.SIGSTOP)
	c.env.expireLeases()
	c.env.start("worker-knowledge")
	c.env.awaitProgress(c.id, 0.6)
	first.Signal(syscall.SIGCONT)
	c.awaitSwitch()
	await.Within(c.t, time.Minute, "the first worker logs that it lost its lease", func() bool { return first.LostLeaseLine() != "" })
}

// indexBothSpaces waits until both spaces have an index. It restarts the worker, because a worker
// looks for spaces without an index when it starts.
func (c *modelChange) indexBothSpaces() {
	c.env.awaitProgress(c.id, 0.2)
	c.env.crashWorker()
	await.Within(c.t, time.Minute, "the active space is indexed", func() bool {
		return c.env.installation.QueryInt(`SELECT count(*) FROM spaces WHERE indexed AND model = $1`, smallModel.Name) == 1
	})
	c.awaitSwitch()
	if n := c.env.installation.QueryInt(`SELECT count(*) FROM spaces WHERE indexed`); n != 2 || c.env.countIndexes() != 2 {
		c.t.Errorf("%d spaces are indexed, with %d indexes; want 2 of each", n, c.env.countIndexes())
	}
}

// switchRepeatedly switches to the new space and back several times. No passage is embedded again.
func (c *modelChange) switchRepeatedly() {
	for range ifShort(2, 6) {
		c.awaitSwitch()
		c.traffic.spaces.expectSwitch(smallModel)
		if reindex := c.env.must(c.env.client().RevertReindex(c.t.Context(), c.id)); reindex.Stage != document.StageReverted {
			c.t.Errorf("after the revert the reindex is %s at stage %s", reindex.State, reindex.Stage)
		}
		c.traffic.spaces.confirmSwitch()
		c.traffic.awaitWrites(3)
		c.traffic.spaces.expectSwitch(largeModel)
		c.begin()
	}
	c.awaitSwitch()
}

// failNewModel makes the new model unavailable for a while, then makes it refuse all requests until
// an operator fixes that. Neither affects searches and uploads.
func (c *modelChange) failNewModel() {
	c.env.awaitProgress(c.id, 0.3)
	c.env.provider.FailModel(largeModel.Name, fakeprovider.Status(http.StatusServiceUnavailable, "overloaded"), -1)
	c.awaitState(document.JobWaiting)
	c.traffic.awaitWrites(6)
	c.env.provider.FailModel(largeModel.Name, nil, 0)
	c.env.awaitProgress(c.id, 0.5)

	c.env.provider.FailModel(largeModel.Name, fakeprovider.Status(http.StatusBadRequest, "no longer offered"), -1)
	c.awaitState(document.JobWaiting)
	c.traffic.awaitWrites(6)
	c.traffic.awaitAnswers(50)
	c.env.wantActiveModel(smallModel)
	await.Until(c.t, "the reindex has an error", func() bool { return c.env.reindex(c.id).Error != "" }) // the reindex retries, so the error is not always set
	c.env.provider.FailModel(largeModel.Name, nil, 0)
	c.awaitSwitch()
}

func (c *modelChange) awaitState(state document.JobState) {
	c.t.Helper()
	await.Within(c.t, time.Minute, "the reindex is "+string(state), func() bool { return c.env.reindex(c.id).State == state })
}

// Documents are split with another chunking while they are searched, edited, uploaded and deleted.
// The reindex is cancelled and started again, and the worker is killed twice. Then the change is
// reverted, in one call.
func TestChunkingChange(t *testing.T) {
	t.Parallel()
	m := newTestEnv(t, 40*time.Millisecond)
	tr := newTraffic(m, corpusFiles(t, ifShort(12, 1000)))
	tr.start()
	change := document.ReindexRequest{Collection: collection, Tokens: 150}
	id := m.begin(change).ID
	m.awaitProgress(id, 0.2)
	m.must(m.client().CancelReindex(t.Context(), id))
	tr.awaitWrites(3)
	m.wantActiveChunking(400)
	id = m.begin(change).ID
	for _, share := range []float64{0.3, 0.7} {
		m.awaitProgress(id, share)
		m.crashWorker()
	}
	m.awaitSuccess(id)
	m.wantActiveChunking(150)
	tr.awaitWrites(6)
	tr.awaitAnswers(50)
	if reindex := m.must(m.client().RevertReindex(t.Context(), id)); reindex.Stage != document.StageReverted {
		t.Errorf("after the revert the reindex is %s at stage %s", reindex.State, reindex.Stage)
	}
	m.wantActiveChunking(400)
	tr.awaitWrites(3)
	tr.awaitAnswers(50)
	tr.awaitReads(2)
	tr.end()
	m.audit(batchPassages + 2*maxCrashLoss)
}

// wantActiveChunking checks the maximum number of tokens in a passage of the active space: no
// passage has more, and some have nearly as many.
func (m *testEnv) wantActiveChunking(maxTokens int) {
	m.t.Helper()
	const active = `SELECT count(*) FROM ` + program.AllPassagesSQL + ` p JOIN spaces s ON s.id = p.space JOIN collections c ON c.active_space = s.id WHERE c.name = $1 AND `
	if n := m.installation.QueryInt(active+`(s.chunk_tokens <> $2 OR p.tokens > $2)`, collection, maxTokens); n > 0 {
		m.t.Errorf("%d passages of the active space have another limit than %d tokens, or more tokens", n, maxTokens)
	}
	if n := m.installation.QueryInt(active+`p.tokens > $2 / 2`, collection, maxTokens); n == 0 {
		m.t.Errorf("no passage of the active space has more than %d tokens", maxTokens/2)
	}
}
