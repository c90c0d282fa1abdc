package app

import (
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// The heap may grow by the same amount whatever uploads hold, and what they have
// held is given back once none has been under way for a while.
func TestUploadHeap(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var percents []int
		freed := 0
		h := newGCTuner(func(p int) int { percents = append(percents, p); return defaultGCPercent }, func() { freed++ }, slog.New(slog.NewTextHandler(t.Output(), nil)))
		percents = nil // that of looking for GOGC
		wait := func(d time.Duration) {
			<-time.After(d) // of the bubble's clock
			synctest.Wait()
		}
		h.setHeldBytes(1 << 20)
		h.setHeldBytes(0)
		wait(time.Minute)
		if len(percents) > 0 || freed > 0 {
			t.Errorf("a small upload set the collector to %d and gave memory back %d times", percents, freed)
		}
		for _, held := range []int64{32 << 20, 34 << 20, 96 << 20, 0} {
			h.setHeldBytes(held)
		}
		if want := []int{50, 25, 100}; !slices.Equal(percents, want) {
			t.Errorf("the collector was set to %d, want %d", percents, want)
		}
		wait(releaseDelay - time.Second)
		h.setHeldBytes(1 << 20) // another upload
		wait(time.Minute)
		if freed > 0 {
			t.Error("memory was given back while an upload was under way")
		}
		h.setHeldBytes(0)
		wait(time.Minute)
		if freed != 1 {
			t.Errorf("memory was given back %d times, want once", freed)
		}
	})
}

func TestUploadHeapLeavesGOGCAlone(t *testing.T) {
	t.Parallel()
	set := 50
	none := newGCTuner(func(p int) (before int) { before, set = set, p; return before }, func() {}, slog.New(slog.DiscardHandler))
	none.setHeldBytes(1 << 30)
	if set != 50 {
		t.Errorf("the collector is set to %d against GOGC=50", set)
	}
}
