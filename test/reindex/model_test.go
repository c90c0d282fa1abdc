package reindex_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/test/await"
)

// A collection changes to another model while it is searched, and documents
// are edited, uploaded and deleted. No answer is empty, mixed, out of date or
// an error, whatever happens to the reindex.
func TestModelChange(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		happens func(*modelChange)
		waste   int      // passages that may be sent in vain
		more    []string // environment
		long    bool     // not with -short
	}{
		"nothing happens to it":     {happens: (*modelChange).finish},
		"with vector indexes":       {happens: (*modelChange).isIndexed, waste: crash, more: []string{"GRISTMILL_INDEX_THRESHOLD=30"}, long: true},
		"killed twice":              {happens: (*modelChange).isKilled, waste: 2 * crash},
		"taken over":                {happens: (*modelChange).isTakenOver, waste: crash, long: true},
		"cancelled and begun again": {happens: (*modelChange).isCancelled, waste: unit},
		"paused and resumed":        {happens: (*modelChange).isPaused, waste: unit},
		"reverted":                  {happens: (*modelChange).isReverted},
		"reverted to what has gaps": {happens: (*modelChange).isRevertedToGaps},
		"done again and again":      {happens: (*modelChange).isDoneAgain, long: true},
		"the new model fails":       {happens: (*modelChange).hasFailingModel},
	} {
		if test.long && testing.Short() {
			continue // the others have much of it
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const probes = 6
			c := newModelChange(t, test.more...)
			test.happens(c)
			c.traffic.awaitAnswers(20)
			c.traffic.awaitReads(2)
			c.traffic.end()
			c.m.audit(probes + test.waste)
		})
	}
}

// crash is what may be in flight of uploads and of a reindex when their worker
// is killed.
const crash = 5 * unit

// modelChange is a reindex from the small model to the large one, under
// traffic.
type modelChange struct {
	t       *testing.T
	m       *mill
	traffic *traffic
	id      uuid.UUID
}

func newModelChange(t *testing.T, more ...string) *modelChange {
	t.Helper()
	m := newMill(t, 40*time.Millisecond, more...)
	c := &modelChange{t: t, m: m, traffic: newTraffic(m, corpusFiles(t, short(16, 1000)))}
	c.traffic.start()
	c.traffic.spaces.turn(large)
	c.begin()
	return c
}

// begin begins the reindex.
func (c *modelChange) begin() {
	c.t.Helper()
	reindex := c.m.begin(toModel(large))
	if reindex.Change != document.ChangeModel || reindex.State.Ended() {
		c.t.Fatalf("begun: %+v", reindex)
	}
	c.id = reindex.ID
}

// finish waits until the reindex has succeeded and searches are answered from
// the new space.
func (c *modelChange) finish() {
	c.t.Helper()
	reindex := c.m.succeed(c.id)
	c.traffic.spaces.switched()
	if reindex.Stage != document.StageDone || reindex.RevertibleUntil == nil || reindex.Progress.DocumentsDone != reindex.Progress.Documents {
		c.t.Errorf("ended: %+v", reindex)
	}
	c.m.wantLive(large)
	c.traffic.awaitWrites(3)
}

func (c *modelChange) isKilled() {
	for _, share := range []float64{0.3, 0.7} {
		c.m.awaitProgress(c.id, share)
		c.m.kill()
	}
	c.finish()
}

// isCancelled cancels the reindex in the middle. Begun again, it sends what is
// missing.
func (c *modelChange) isCancelled() {
	c.m.awaitProgress(c.id, 0.5)
	if reindex := c.m.must(c.m.client().CancelReindex(c.t.Context(), c.id)); reindex.State != document.Cancelled {
		c.t.Errorf("cancelled, it is %s", reindex.State)
	}
	sent := total(c.m.sent(large))
	c.traffic.awaitWrites(3)
	c.traffic.awaitAnswers(50)
	c.m.wantLive(small)
	if now := total(c.m.sent(large)); now > sent+2*unit {
		c.t.Errorf("%d passages were sent after the reindex had been cancelled", now-sent)
	}
	c.begin()
	c.finish()
}

// isPaused pauses the reindex in the middle. Until it is resumed, it does
// nothing.
func (c *modelChange) isPaused() {
	c.m.awaitProgress(c.id, 0.4)
	if reindex := c.m.must(c.m.client().PauseReindex(c.t.Context(), c.id)); reindex.State != document.Paused {
		c.t.Errorf("paused, it is %s", reindex.State)
	}
	// The worker may have to be told, and what is in flight may come back.
	await.Within(c.t, time.Minute, "the provider is left alone by the reindex", func() bool {
		sent := total(c.m.sent(large))
		c.traffic.awaitWrites(3)
		return total(c.m.sent(large)) == sent
	})
	paused := c.m.reindex(c.id)
	c.traffic.awaitAnswers(50)
	if now := c.m.reindex(c.id); now.State != document.Paused || !cmp.Equal(now.Progress, paused.Progress) {
		c.t.Errorf("while it is paused it goes from %+v to %+v", paused, now)
	}
	c.m.wantLive(small)
	if reindex := c.m.must(c.m.client().ResumeReindex(c.t.Context(), c.id)); reindex.State.Ended() || reindex.State == document.Paused {
		c.t.Errorf("resumed, it is %s", reindex.State)
	}
	c.finish()
}

// isReverted switches back, in one call, after documents have been written to
// the new space.
func (c *modelChange) isReverted() {
	c.finish()
	c.traffic.awaitAnswers(50)
	c.traffic.spaces.turn(small)
	if reindex := c.m.must(c.m.client().RevertReindex(c.t.Context(), c.id)); reindex.Stage != document.StageReverted || reindex.State != document.Succeeded {
		c.t.Errorf("reverted, it is %s at %s", reindex.State, reindex.Stage)
	}
	c.traffic.spaces.switched()
	c.m.wantLive(small)
	c.traffic.awaitWrites(6)
	c.m.refused(http.StatusConflict, "conflict", "/v1/reindexes/"+c.id.String()+"/revert", nil)
}
