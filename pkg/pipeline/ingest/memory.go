package ingest

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/seed-7a112592/gristmill/pkg/fault"
)

const (
	// uploadOverhead is what an upload holds beside the buffer that it is
	// written from: connections, the document's head, a hash.
	uploadOverhead = 256 << 10

	// MinMemory is room for one upload of any size.
	MinMemory = 16 << 20

	// roomWait is how long an upload waits for room, and roomRetryAfter when a
	// client that found none may come again.
	roomWait       = 5 * time.Second
	roomRetryAfter = 5 * time.Second
)

// Memory bounds what the uploads under way hold together. Each reserves all
// that it may need before its body is read, so that none that was let in stands
// still half-way for want of room.
type Memory struct {
	bytes int64
	free  *semaphore.Weighted

	mu     sync.Mutex
	held   int64
	follow func(held int64)
}

// NewMemory returns room for the given number of bytes, which must be at least
// MinMemory. follow is told how many of them are reserved whenever that changes.
func NewMemory(bytes int64, follow func(held int64)) *Memory {
	return &Memory{bytes: bytes, free: semaphore.NewWeighted(bytes), follow: follow}
}

// reserve takes room for an upload that is written from a buffer of the given
// number of bytes. Callers must call release. fault.Unavailable when there is no
// room within roomWait.
func (m *Memory) reserve(ctx context.Context, buffer int64) (release func(), err error) {
	need := buffer + uploadOverhead
	waiting, cancel := context.WithTimeout(ctx, roomWait)
	defer cancel()
	if err := m.free.Acquire(waiting, need); err != nil {
		return nil, fault.New(fault.Unavailable,
			"the uploads under way hold all the memory that GRISTMILL_UPLOAD_MEMORY allows, %d bytes: send this one again in a moment", m.bytes).After(roomRetryAfter)
	}
	m.change(need)
	return func() {
		m.change(-need)
		m.free.Release(need)
	}, nil
}

// change adds to what is reserved.
func (m *Memory) change(by int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.held += by
	m.follow(m.held)
}
