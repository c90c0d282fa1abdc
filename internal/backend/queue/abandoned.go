package queue

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"github.com/hibiken/asynq"

	"github.com/seed-7a112592/gristmill/internal/task"
)

const (
	// abandonedAfter is how long an entry must have been active before it is compared with the
	// entries that workers list as theirs. Workers update their lists every five seconds.
	abandonedAfter = 8 * time.Second

	// abandonedTimeout bounds the search, which takes a dozen round trips and two for each worker.
	// Only the sweep waits for it.
	abandonedTimeout = 5 * time.Second

	// requeuedSuffix ends the ID of the entry that replaces an abandoned one. asynq keeps the ID of
	// the abandoned entry in use for one to two minutes.
	requeuedSuffix = ":again"
)

// activeEntries records which entries a Client has seen active, and since when.
type activeEntries struct {
	mu        sync.Mutex
	firstSeen map[string]time.Time // by ID of the entry
}

// RequeueAbandoned enqueues entries again that were taken from the queue and are not processed by
// any worker: the reply of Redis that delivered them was lost, with its connection or because the
// worker was stopped at that moment. Call it every few seconds while there is work. If a worker
// does run the task, the claim refuses the second delivery, as always. A Redis that is slow at this
// does not count as unreachable.
func (c *Client) RequeueAbandoned(ctx context.Context) (requeued int, err error) {
	var n int
	err = c.try(ctx, abandonedTimeout, "list abandoned tasks", func() error {
		entries, err := c.listActive()
		if err != nil {
			return err
		}
		entries = c.activeEntries.longActive(entries, time.Now(), c.abandonedAfter)
		if len(entries) == 0 {
			return nil
		}
		servers, err := c.inspector.Servers()
		if err != nil {
			return err
		}
		inProgress := map[string]bool{}
		for _, server := range servers {
			for _, worker := range server.ActiveWorkers {
				inProgress[worker.TaskID] = true
			}
		}
		for _, entry := range entries {
			if inProgress[entry.ID] {
				continue
			}
			_, err := c.asynq.Load().Enqueue(asynq.NewTask(entry.Type, entry.Payload), entryOptions(entry.ID+requeuedSuffix, entry.Queue)...)
			if errors.Is(err, asynq.ErrTaskIDConflict) {
				continue
			}
			if err != nil {
				return err
			}
			n++
		}
		return nil
	})
	if err != nil {
		return 0, err // the call may still run, and count
	}
	return n, nil
}

// listActive returns the entries that workers have taken.
func (c *Client) listActive() (entries []*asynq.TaskInfo, err error) {
	for _, kind := range task.Kinds {
		active, err := c.inspector.ListActiveTasks(string(kind), asynq.PageSize(math.MaxInt32))
		if err != nil && !errors.Is(err, asynq.ErrQueueNotFound) {
			return nil, err
		}
		entries = append(entries, active...)
	}
	return entries, nil
}

// longActive returns the entries that have been active for minAge or longer. It returns each of
// them once in that time.
func (t *activeEntries) longActive(entries []*asynq.TaskInfo, now time.Time, minAge time.Duration) (long []*asynq.TaskInfo) {
	t.mu.Lock()
	defer t.mu.Unlock()
	since := make(map[string]time.Time, len(entries))
	for _, entry := range entries {
		first, seen := t.firstSeen[entry.ID]
		switch {
		case !seen:
			first = now
		case now.Sub(first) >= minAge:
			long = append(long, entry)
			first = now
		}
		since[entry.ID] = first
	}
	t.firstSeen = since
	return long
}
