package worker

import (
	"context"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/seed-7a112592/gristmill/internal/fault"
)

// CrashLane limits how many tasks that have lost a worker a process runs at the same time. One of
// the tasks that a worker ran when it died may be the cause, and the others must not be lost with
// it, attempt after attempt, until all have failed. After its first crash, a task runs with a few
// others: most of them complete, so that a second crash affects few. After the second, it runs
// alone.
type CrashLane struct{ permits *semaphore.Weighted }

const (
	// crashLanePermits is how many tasks with one crash run at the same time.
	crashLanePermits = 4

	// crashLaneWait is how long a task waits for a permit before it is returned to the queue: other
	// tasks may need the worker, and another process may have a free permit.
	crashLaneWait = 2 * time.Second
)

var errCrashLaneFull = fault.New(fault.Unavailable, "an earlier attempt lost its worker: only few such tasks run at the same time, and this one waits").WithRetryAfter(500 * time.Millisecond)

// NewCrashLane returns the crash lane of a process.
func NewCrashLane() *CrashLane {
	return &CrashLane{permits: semaphore.NewWeighted(crashLanePermits)}
}

// acquire returns a permit for a task with the given number of crashes. Callers must release it.
// After one crash, the task waits for a permit in order of arrival. After more, it needs all
// permits, and does not wait.
func (l *CrashLane) acquire(ctx context.Context, crashes int) (release func(), err error) {
	if crashes > 1 { // the task runs alone; if it waited here, a crash of the task that runs would count against it too
		if !l.permits.TryAcquire(crashLanePermits) {
			return nil, errCrashLaneFull
		}
		return func() { l.permits.Release(crashLanePermits) }, nil
	}
	waiting, cancel := context.WithTimeout(ctx, crashLaneWait)
	defer cancel()
	if l.permits.Acquire(waiting, 1) != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, errCrashLaneFull
	}
	return func() { l.permits.Release(1) }, nil
}
