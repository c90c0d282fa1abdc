package ingest

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/seed-7a112592/gristmill/internal/fault"
)

const (
	// uploadOverhead is the memory of an upload in addition to its write buffer: connections, the
	// head of the document, a hash.
	uploadOverhead = 256 << 10

	// MinMemoryLimit is enough memory for one upload of any size.
	MinMemoryLimit = 16 << 20

	// memoryWait is how long an upload waits for memory. memoryRetryAfter is the delay after which a
	// refused client may try again.
	memoryWait       = 5 * time.Second
	memoryRetryAfter = 5 * time.Second
)

// MemoryLimit bounds the memory of all uploads under way. Each upload reserves all that it may need
// before its body is read, so that no upload stops half-way for lack of memory.
type MemoryLimit struct {
	limit int64
	free  *semaphore.Weighted

	mu       sync.Mutex
	reserved int64
	onChange func(reserved int64)
}

// NewMemoryLimit returns a limit of the given number of bytes, which must be at least MinMemoryLimit.
// onChange is called with the number of reserved bytes whenever it changes.
func NewMemoryLimit(bytes int64, onChange func(reserved int64)) *MemoryLimit {
	return &MemoryLimit{limit: bytes, free: semaphore.NewWeighted(bytes), onChange: onChange}
}

// reserve reserves memory for an upload with a write buffer of the given size. Callers must call
// release. It returns fault.Unavailable if the memory is not free within memoryWait.
func (m *MemoryLimit) reserve(ctx context.Context, buffer int64) (release func(), err error) {
	need := buffer + uploadOverhead
	waiting, cancel := context.WithTimeout(ctx, memoryWait)
	defer cancel()
	if err := m.free.Acquire(waiting, need); err != nil {
		return nil, fault.New(fault.Unavailable,
			"upload memory limit reached: uploads under way use all of GRISTMILL_UPLOAD_MEMORY, %d bytes; send this one again in a moment", m.limit).WithRetryAfter(memoryRetryAfter)
	}
	m.addReserved(need)
	return func() {
		m.addReserved(-need)
		m.free.Release(need)
	}, nil
}

// addReserved changes the number of reserved bytes.
func (m *MemoryLimit) addReserved(by int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reserved += by
	m.onChange(m.reserved)
}
