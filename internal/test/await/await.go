// Package await lets tests wait for events, with a deadline and without sleeping.
package await

import (
	"bytes"
	"sync"
	"testing"
	"time"
)

// Deadline is how long a test waits for an event before it fails.
const Deadline = 20 * time.Second

// Receive returns the next value from c. Fails the test after Deadline.
func Receive[T any](t testing.TB, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(Deadline):
		t.Fatalf("received nothing within %s", Deadline)
		panic("unreachable")
	}
}

// Until polls until holds returns true, for a state that sends no event. Fails the test after
// Deadline; what completes "waited until …".
func Until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	until(t, Deadline, 10*time.Millisecond, what, holds)
}

// Within is Until with another limit than Deadline.
func Within(t testing.TB, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	until(t, limit, 50*time.Millisecond, what, holds)
}

func until(t testing.TB, limit, every time.Duration, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(every)
	defer tick.Stop()
	end := time.After(limit)
	for !holds() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("waited more than %s until %s", limit, what)
		}
	}
}

// LogBuffer is a log that can be read while it is written. The zero value is empty.
type LogBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (b *LogBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// String returns what has been written so far.
func (b *LogBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
