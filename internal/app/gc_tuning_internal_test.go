package app

import (
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// The heap may grow by the same number of bytes, however many bytes uploads hold. Their memory is
// returned after some time without uploads.
func TestGCTuner(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var percents []int
		freed := 0
		h := newGCTuner(func(p int) int { percents = append(percents, p); return defaultGCPercent }, func() { freed++ }, slog.New(slog.NewTextHandler(t.Output(), nil)))
		percents = nil // without the calls that read GOGC
		wait := func(d time.Duration) {
			<-time.After(d) // fake clock
			synctest.Wait()
		}
		h.setHeldBytes(1 << 20)
		h.setHeldBytes(0)
		wait(time.Minute)
		if len(percents) > 0 || freed > 0 {
			t.Errorf("a small upload set the percentage to %d and returned memory %d times", percents, freed)
		}
		for _, held := range []int64{32 << 20, 34 << 20, 96 << 20, 0} {
			h.setHeldBytes(held)
		}
		if want := []int{50, 25, 100}; !slices.Equal(percents, want) {
			t.Errorf("the percentage was set to %d, want %d", percents, want)
		}
		wait(releaseDelay - time.Second)
		h.setHeldBytes(1 << 20) // another upload
		wait(time.Minute)
		if freed > 0 {
			t.Error("memory was returned during an upload")
		}
		h.setHeldBytes(0)
		wait(time.Minute)
		if freed != 1 {
			t.Errorf("memory was returned %d times, want once", freed)
		}
	})
}

func TestGCTunerKeepsGOGC(t *testing.T) {
	t.Parallel()
	set := 50
	none := newGCTuner(func(p int) (before int) { before, set = set, p; return before }, func() {}, slog.New(slog.DiscardHandler))
	none.setHeldBytes(1 << 30)
	if set != 50 {
		t.Errorf("the percentage was set to %d, want GOGC=50 kept", set)
	}
}
