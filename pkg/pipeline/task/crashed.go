package task

import (
	"context"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/seed-7a112592/gristmill/pkg/fault"
)

// CrashedLimit limits how many tasks that have lost a worker a process runs at
// once. One of those that were under way then may be why, and the others must
// not be lost with it, attempt after attempt, until all are given up. After the
// first crash a few run at once: most are done, and those that the second one
// meets are few. After that one they run one by one.
type CrashedLimit struct{ places *semaphore.Weighted }

const (
	// crashedAtOnce is how many tasks with one crash run at once.
	crashedAtOnce = 4

	// crashedPatience is how long a task waits for a place before it is handed
	// back: others may need the worker, and another process have a place.
	crashedPatience = 2 * time.Second
)

var errCrashed = fault.New(fault.Unavailable, "an earlier attempt lost its worker: few such tasks run at once, and this one waits for its turn").After(500 * time.Millisecond)

// NewCrashedLimit returns the limit of a process.
func NewCrashedLimit() *CrashedLimit {
	return &CrashedLimit{places: semaphore.NewWeighted(crashedAtOnce)}
}

// acquire returns a place for a task with the given number of crashes. After one
// crash it waits for a place, in order; after more it needs all places, now.
func (l *CrashedLimit) acquire(ctx context.Context, crashes int) (release func(), err error) {
	if crashes > 1 { // alone; and who waited here would be lost, once too often, with the one that runs
		if !l.places.TryAcquire(crashedAtOnce) {
			return nil, errCrashed
		}
		return func() { l.places.Release(crashedAtOnce) }, nil
	}
	waiting, cancel := context.WithTimeout(ctx, crashedPatience)
	defer cancel()
	if l.places.Acquire(waiting, 1) != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, errCrashed
	}
	return func() { l.places.Release(1) }, nil
}
