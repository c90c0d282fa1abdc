package app

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/seed-7a112592/gristmill/pkg/goroutine"
)

const (
	defaultPercent = 100 // by which Go lets a heap grow before it collects garbage

	// heapBase is about what the api has live beside the buffers of uploads, and
	// heapStep how much those must change before the collector is told.
	heapBase = 32 << 20
	heapStep = 16 << 20

	// heapRest is how long there must have been no upload before memory is given
	// back to the system.
	heapRest = 5 * time.Second
)

// uploadHeap keeps the Go runtime from holding as much again as uploads do. It
// lets a heap double before it collects garbage; buffers of uploads are live and
// hardly make any, so the heap may grow only by what it would without them. And
// what uploads have held is given back when they have ended, which the runtime
// does after minutes, or never while little else is allocated.
type uploadHeap struct {
	percent func(percent int) int // debug.SetGCPercent
	free    func()                // debug.FreeOSMemory
	log     *slog.Logger

	mu    sync.Mutex
	steps int64  // of what uploads hold
	large bool   // they have held a step, and it has not been given back
	rest  func() // ends the wait for memory to be given back; nil without one
}

// newUploadHeap returns nil where GOGC says how garbage is to be collected.
func newUploadHeap(percent func(int) int, free func(), log *slog.Logger) *uploadHeap {
	if before := percent(defaultPercent); before != defaultPercent {
		percent(before)
		return nil
	}
	return &uploadHeap{percent: percent, free: free, log: log}
}

// follow is told how many bytes uploads hold, whenever that changes.
func (h *uploadHeap) follow(held int64) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if steps := (held + heapStep/2) / heapStep; steps != h.steps {
		h.steps = steps
		h.large = h.large || steps > 0
		h.percent(int(defaultPercent * heapBase / (heapBase + steps*heapStep)))
	}
	if h.rest != nil {
		h.rest()
		h.rest = nil
	}
	if held == 0 && h.large {
		waiting, cancel := context.WithTimeout(context.Background(), heapRest)
		stop := goroutine.AfterFunc(waiting, h.log, "giving memory back", h.giveBack)
		h.rest = func() { stop(); cancel() }
	}
}

// giveBack gives memory back, unless there is an upload again.
func (h *uploadHeap) giveBack() {
	h.mu.Lock()
	idle := h.rest != nil
	if idle {
		h.rest()
		h.large, h.rest = false, nil
	}
	h.mu.Unlock()
	if idle {
		h.free()
	}
}
