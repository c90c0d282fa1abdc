package app

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/seed-7a112592/gristmill/internal/goroutine"
)

const (
	defaultGCPercent = 100 // by which Go lets a heap grow before it collects garbage

	// heapBase is about what the api has live beside the buffers of uploads, and
	// heapStep how much those must change before the collector is told.
	heapBase = 32 << 20
	heapStep = 16 << 20

	// releaseDelay is how long there must have been no upload before memory is given
	// back to the system.
	releaseDelay = 5 * time.Second
)

// gcTuner keeps the Go runtime from holding as much again as uploads do. It
// lets a heap double before it collects garbage; buffers of uploads are live and
// hardly make any, so the heap may grow only by what it would without them. And
// what uploads have held is given back when they have ended, which the runtime
// does after minutes, or never while little else is allocated.
type gcTuner struct {
	setGCPercent func(percent int) int // debug.SetGCPercent
	freeOSMemory func()                // debug.FreeOSMemory
	log          *slog.Logger

	mu             sync.Mutex
	steps          int64  // of what uploads hold
	releasePending bool   // they have held a step, and it has not been given back
	cancelRelease  func() // ends the wait for memory to be given back; nil without one
}

// newGCTuner returns nil where GOGC says how garbage is to be collected.
func newGCTuner(percent func(int) int, free func(), log *slog.Logger) *gcTuner {
	if before := percent(defaultGCPercent); before != defaultGCPercent {
		percent(before)
		return nil
	}
	return &gcTuner{setGCPercent: percent, freeOSMemory: free, log: log}
}

// setHeldBytes is told how many bytes uploads hold, whenever that changes.
func (h *gcTuner) setHeldBytes(held int64) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if steps := (held + heapStep/2) / heapStep; steps != h.steps {
		h.steps = steps
		h.releasePending = h.releasePending || steps > 0
		h.setGCPercent(int(defaultGCPercent * heapBase / (heapBase + steps*heapStep)))
	}
	if h.cancelRelease != nil {
		h.cancelRelease()
		h.cancelRelease = nil
	}
	if held == 0 && h.releasePending {
		waiting, cancel := context.WithTimeout(context.Background(), releaseDelay)
		stop := goroutine.AfterFunc(waiting, h.log, "giving memory back", h.releaseMemory)
		h.cancelRelease = func() { stop(); cancel() }
	}
}

// releaseMemory gives memory back, unless there is an upload again.
func (h *gcTuner) releaseMemory() {
	h.mu.Lock()
	idle := h.cancelRelease != nil
	if idle {
		h.cancelRelease()
		h.releasePending, h.cancelRelease = false, nil
	}
	h.mu.Unlock()
	if idle {
		h.freeOSMemory()
	}
}
