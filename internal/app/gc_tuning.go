package app

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/seed-7a112592/gristmill/internal/goroutine"
)

const (
	defaultGCPercent = 100 // the growth of the heap, in per cent, after which Go collects garbage

	// heapBase is the approximate number of live bytes of the API without the buffers of uploads.
	// heapStep is the change of those buffers, in bytes, after which the collector is adjusted.
	heapBase = 32 << 20
	heapStep = 16 << 20

	// releaseDelay is the time without uploads after which memory is returned to the operating
	// system.
	releaseDelay = 5 * time.Second
)

// gcTuner keeps the process from using twice the memory of its uploads. By default, Go lets the heap
// double before it collects garbage. The buffers of uploads are live and produce hardly any garbage,
// so gcTuner lets the heap grow only by the amount that it would grow without them. After the uploads
// have ended, gcTuner returns their memory to the operating system. The runtime does so only after
// minutes, or never while the process allocates little.
type gcTuner struct {
	setGCPercent func(percent int) int // debug.SetGCPercent
	freeOSMemory func()                // debug.FreeOSMemory
	log          *slog.Logger

	mu             sync.Mutex
	steps          int64  // bytes that uploads hold, in steps of heapStep
	releasePending bool   // uploads have held at least a step that has not been returned yet
	cancelRelease  func() // cancels the pending release of memory; nil if there is none
}

// newGCTuner returns a tuner, or nil, which does nothing, if GOGC is set.
func newGCTuner(percent func(int) int, free func(), log *slog.Logger) *gcTuner {
	if before := percent(defaultGCPercent); before != defaultGCPercent {
		percent(before)
		return nil
	}
	return &gcTuner{setGCPercent: percent, freeOSMemory: free, log: log}
}

// setHeldBytes must be called with the number of bytes that uploads hold, whenever it changes.
func (t *gcTuner) setHeldBytes(held int64) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if steps := (held + heapStep/2) / heapStep; steps != t.steps {
		t.steps = steps
		t.releasePending = t.releasePending || steps > 0
		t.setGCPercent(int(defaultGCPercent * heapBase / (heapBase + steps*heapStep)))
	}
	if t.cancelRelease != nil {
		t.cancelRelease()
		t.cancelRelease = nil
	}
	if held == 0 && t.releasePending {
		waiting, cancel := context.WithTimeout(context.Background(), releaseDelay)
		stop := goroutine.AfterFunc(waiting, t.log, "release memory", t.releaseMemory)
		t.cancelRelease = func() { stop(); cancel() }
	}
}

// releaseMemory returns memory to the operating system, unless another upload has begun.
func (t *gcTuner) releaseMemory() {
	t.mu.Lock()
	idle := t.cancelRelease != nil
	if idle {
		t.cancelRelease()
		t.releasePending, t.cancelRelease = false, nil
	}
	t.mu.Unlock()
	if idle {
		t.freeOSMemory()
	}
}
