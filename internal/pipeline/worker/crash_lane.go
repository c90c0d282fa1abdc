package worker

import (
	"context"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/seed-7a112592/gristmill/internal/fault"
)

// CrashLane limits how many tasks that have lost a worker a process runs at
// once. One of those that were under way then may be why, and the others must
// not be lost with it, attempt after attempt, until all are given up. After the
// first crash a few run at once: most are done, and those that the second one
// meets are few. After that one they run one by one.
type CrashLane struct{ permits *semaphore.Weighted }

const (
	// crashLanePermits is how many tasks with one crash run at once.
	crashLanePermits = 4

	// crashLaneWait is how long a task waits for a place before it is handed
	// back: others may need the worker, and another process have a place.
	crashLaneWait = 2 * time.Second
)

var errCrashLaneFull = fault.New(fault.Unavailable, "an earlier attempt lost its worker: few such tasks run at once, and this one waits for its turn").WithRetryAfter(500 * time.Millisecond)

// NewCrashLane returns the limit of a process.
func NewCrashLane() *CrashLane {
	return &CrashLane{permits: semaphore.NewWeighted(crashLanePermits)}
}

// acquire returns a place for a task with the given number of crashes. After one
// crash it waits for a place, in order; after more it needs all places, now.
func (l *CrashLane) acquire(ctx context.Context, crashes int) (release func(), err error) {
	if crashes > 1 { // alone; and who waited here would be lost, once too often, with the one that runs
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
