package queue

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"github.com/hibiken/asynq"

	"github.com/seed-7a112592/gristmill/internal/goroutine"
	"github.com/seed-7a112592/gristmill/internal/task"
)

const (
	// abandonedAfter is how long an entry must have been taken before it is
	// compared with what workers list as theirs. They update their lists every
	// five seconds.
	abandonedAfter = 8 * time.Second

	// abandonedTimeout bounds looking for them, which takes a dozen round trips and
	// two for each worker. Nobody waits for it but the sweep.
	abandonedTimeout = 5 * time.Second

	// requeuedSuffix ends the name of the entry that stands for an abandoned one,
	// which asynq holds on to for one to two minutes.
	requeuedSuffix = ":again"
)

// activeEntries is what a Client has seen to be taken by workers, and since when.
type activeEntries struct {
	mu        sync.Mutex
	firstSeen map[string]time.Time // by name of an entry
}

// RequeueAbandoned puts entries into the queue again that were taken from it and
// that no worker works at: the answer of Redis that handed them over was lost,
// with its connection or because the worker was stopped just then. Call it every
// few seconds while there is work. A task that a worker is at after all is
// refused by its claim, as every one that is delivered twice. A Redis that is
// slow at this does not count as one that cannot be reached.
func (c *Client) RequeueAbandoned(ctx context.Context) (requeued int, err error) {
	var n int
	limited, cancel := context.WithTimeout(ctx, abandonedTimeout)
	defer cancel()
	done := goroutine.Start(func() error {
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
		worked := map[string]bool{}
		for _, server := range servers {
			for _, worker := range server.ActiveWorkers {
				worked[worker.TaskID] = true
			}
		}
		for _, entry := range entries {
			if worked[entry.ID] {
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
	select {
	case err := <-done:
		return n, wrapUnavailable(ctx, err, "look for abandoned tasks")
	case <-limited.Done():
		return 0, wrapUnavailable(ctx, limited.Err(), "look for abandoned tasks")
	}
}

// listActive returns the entries that workers have taken.
func (c *Client) listActive() (entries []*asynq.TaskInfo, err error) {
	for _, kind := range task.Kinds {
		some, err := c.inspector.ListActiveTasks(string(kind), asynq.PageSize(math.MaxInt32))
		if err != nil && !errors.Is(err, asynq.ErrQueueNotFound) {
			return nil, err
		}
		entries = append(entries, some...)
	}
	return entries, nil
}

// longActive returns those of the entries that have been seen for a while. Each is
// returned once in that time.
func (t *activeEntries) longActive(entries []*asynq.TaskInfo, now time.Time, while time.Duration) (long []*asynq.TaskInfo) {
	t.mu.Lock()
	defer t.mu.Unlock()
	since := make(map[string]time.Time, len(entries))
	for _, entry := range entries {
		first, seen := t.firstSeen[entry.ID]
		switch {
		case !seen:
			first = now
		case now.Sub(first) >= while:
			long = append(long, entry)
			first = now
		}
		since[entry.ID] = first
	}
	t.firstSeen = since
	return long
}
