package ingest

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/seed-7a112592/gristmill/internal/fault"
)

const (
	// uploadOverhead is what an upload holds beside the buffer that it is
	// written from: connections, the document's head, a hash.
	uploadOverhead = 256 << 10

	// MinMemoryLimit is room for one upload of any size.
	MinMemoryLimit = 16 << 20

	// memoryWait is how long an upload waits for room, and roomRetryAfter when a
	// client that found none may come again.
	memoryWait       = 5 * time.Second
	memoryRetryAfter = 5 * time.Second
)

// MemoryLimit bounds what the uploads under way hold together. Each reserves all
// that it may need before its body is read, so that none that was let in stands
// still half-way for want of room.
type MemoryLimit struct {
	limit int64
	free  *semaphore.Weighted

	mu       sync.Mutex
	reserved int64
	onChange func(held int64)
}

// NewMemoryLimit returns room for the given number of bytes, which must be at least
// MinMemory. follow is told how many of them are reserved whenever that changes.
func NewMemoryLimit(bytes int64, follow func(held int64)) *MemoryLimit {
	return &MemoryLimit{limit: bytes, free: semaphore.NewWeighted(bytes), onChange: follow}
}

// reserve takes room for an upload that is written from a buffer of the given
// number of bytes. Callers must call release. fault.Unavailable when there is no
// room within roomWait.
func (m *MemoryLimit) reserve(ctx context.Context, buffer int64) (release func(), err error) {
	need := buffer + uploadOverhead
	waiting, cancel := context.WithTimeout(ctx, memoryWait)
	defer cancel()
	if err := m.free.Acquire(waiting, need); err != nil {
		return nil, fault.New(fault.Unavailable,
			"the uploads under way hold all the memory that GRISTMILL_UPLOAD_MEMORY allows, %d bytes: send this one again in a moment", m.limit).WithRetryAfter(memoryRetryAfter)
	}
	m.addReserved(need)
	return func() {
		m.addReserved(-need)
		m.free.Release(need)
	}, nil
}

// addReserved adds to what is reserved.
func (m *MemoryLimit) addReserved(by int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reserved += by
	m.onChange(m.reserved)
}
