package reindex_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/internal/test/await"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// A collection changes to another model while it is searched and documents are edited, uploaded and
// deleted. No search result is empty, mixed, out of date or an error, whatever happens to the
// reindex.
func TestModelChange(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		disturb func(*modelChange)
		waste   int      // number of passages that may be sent without need
		more    []string // environment
		long    bool     // skipped with -short
	}{
		"undisturbed":                     {disturb: (*modelChange).awaitSwitch},
		"with vector indexes":             {disturb: (*modelChange).indexBothSpaces, waste: maxCrashLoss, more: []string{"GRISTMILL_INDEX_THRESHOLD=30"}, long: true},
		"killed twice":                    {disturb: (*modelChange).crashTwice, waste: 2 * maxCrashLoss},
		"taken over":                      {disturb: (*modelChange).takeOver, waste: maxCrashLoss, long: true},
		"cancelled and started again":     {disturb: (*modelChange).cancelAndRestart, waste: batchPassages},
		"paused and resumed":              {disturb: (*modelChange).pauseAndResume, waste: batchPassages},
		"reverted":                        {disturb: (*modelChange).revert},
		"reverted to an incomplete space": {disturb: (*modelChange).revertToIncomplete},
		"repeated":                        {disturb: (*modelChange).switchRepeatedly, long: true},
		"the new model fails":             {disturb: (*modelChange).failNewModel},
	} {
		if test.long && testing.Short() {
			continue // the other cases cover most of it
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const probes = 6
			c := newModelChange(t, test.more...)
			test.disturb(c)
			c.traffic.awaitAnswers(20)
			c.traffic.awaitReads(2)
			c.traffic.end()
			c.env.audit(probes + test.waste)
		})
	}
}

// maxCrashLoss is the number of passages of uploads and of a reindex that may be in flight when
// their worker is killed.
const maxCrashLoss = 5 * batchPassages

// modelChange is a reindex from the small model to the large one, under traffic.
type modelChange struct {
	t       *testing.T
	env     *testEnv
	traffic *traffic
	id      uuid.UUID
}

func newModelChange(t *testing.T, more ...string) *modelChange {
	t.Helper()
	m := newTestEnv(t, 40*time.Millisecond, more...)
	c := &modelChange{t: t, env: m, traffic: newTraffic(m, corpusFiles(t, ifShort(16, 1000)))}
	c.traffic.start()
	c.traffic.spaces.expectSwitch(largeModel)
	c.begin()
	return c
}

// begin starts the reindex.
func (c *modelChange) begin() {
	c.t.Helper()
	reindex := c.env.begin(toModel(largeModel))
	if reindex.Change != document.ChangeModel || reindex.State.Ended() {
		c.t.Fatalf("the started reindex is %+v", reindex)
	}
	c.id = reindex.ID
}

// awaitSwitch waits until the reindex has succeeded and searches are answered from the new space.
func (c *modelChange) awaitSwitch() {
	c.t.Helper()
	reindex := c.env.awaitSuccess(c.id)
	c.traffic.spaces.confirmSwitch()
	if reindex.Stage != document.StageDone || reindex.RevertibleUntil == nil || reindex.Progress.DocumentsDone != reindex.Progress.Documents {
		c.t.Errorf("the reindex ended as %+v", reindex)
	}
	c.env.wantActiveModel(largeModel)
	c.traffic.awaitWrites(3)
}

func (c *modelChange) crashTwice() {
	for _, share := range []float64{0.3, 0.7} {
		c.env.awaitProgress(c.id, share)
		c.env.crashWorker()
	}
	c.awaitSwitch()
}

// cancelAndRestart cancels the reindex in the middle and starts it again, which sends the missing
// passages.
func (c *modelChange) cancelAndRestart() {
	c.env.awaitProgress(c.id, 0.5)
	if reindex := c.env.must(c.env.client().CancelReindex(c.t.Context(), c.id)); reindex.State != document.JobCancelled {
		c.t.Errorf("after the cancel the reindex is %s", reindex.State)
	}
	sent := total(c.env.sentTexts(largeModel))
	c.traffic.awaitWrites(3)
	c.traffic.awaitAnswers(50)
	c.env.wantActiveModel(smallModel)
	if now := total(c.env.sentTexts(largeModel)); now > sent+2*batchPassages {
		c.t.Errorf("%d passages were sent after the reindex had been cancelled", now-sent)
	}
	c.begin()
	c.awaitSwitch()
}

// pauseAndResume pauses the reindex in the middle. It does nothing until it is resumed.
func (c *modelChange) pauseAndResume() {
	c.env.awaitProgress(c.id, 0.4)
	if reindex := c.env.must(c.env.client().PauseReindex(c.t.Context(), c.id)); reindex.State != document.JobPaused {
		c.t.Errorf("after the pause the reindex is %s", reindex.State)
	}
	// Waits until the worker has noticed, and the requests in flight have been answered.
	await.Within(c.t, time.Minute, "the reindex sends no more requests to the provider", func() bool {
		sent := total(c.env.sentTexts(largeModel))
		c.traffic.awaitWrites(3)
		return total(c.env.sentTexts(largeModel)) == sent
	})
	paused := c.env.reindex(c.id)
	c.traffic.awaitAnswers(50)
	if now := c.env.reindex(c.id); now.State != document.JobPaused || !cmp.Equal(now.Progress, paused.Progress) {
		c.t.Errorf("while it was paused the reindex changed from %+v to %+v", paused, now)
	}
	c.env.wantActiveModel(smallModel)
	if reindex := c.env.must(c.env.client().ResumeReindex(c.t.Context(), c.id)); reindex.State.Ended() || reindex.State == document.JobPaused {
		c.t.Errorf("after the resume the reindex is %s", reindex.State)
	}
	c.awaitSwitch()
}

// revert switches back, in one call, after documents have been written to the new space.
func (c *modelChange) revert() {
	c.awaitSwitch()
	c.traffic.awaitAnswers(50)
	c.traffic.spaces.expectSwitch(smallModel)
	if reindex := c.env.must(c.env.client().RevertReindex(c.t.Context(), c.id)); reindex.Stage != document.StageReverted || reindex.State != document.JobSucceeded {
		c.t.Errorf("after the revert the reindex is %s at stage %s", reindex.State, reindex.Stage)
	}
	c.traffic.spaces.confirmSwitch()
	c.env.wantActiveModel(smallModel)
	c.traffic.awaitWrites(6)
	c.env.wantRefused(http.StatusConflict, "conflict", "/v1/reindexes/"+c.id.String()+"/revert", nil)
}
