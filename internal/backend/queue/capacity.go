package queue

import (
	"context"
	"sync"
	"time"

	"github.com/hibiken/asynq"

	"github.com/seed-7a112592/gristmill/internal/goroutine"
	"github.com/seed-7a112592/gristmill/internal/task"
)

const (
	// capacityTTL is how long what workers were counted is remembered,
	// and longest for how long it serves when the next count is slow: it takes
	// two round trips for each worker.
	capacityTTL    = 2 * time.Second
	maxCapacityAge = time.Minute
)

// capacityCache is what a Client knows of those who deliver.
type capacityCache struct {
	mu        sync.Mutex
	capacity  map[task.Kind]int
	countedAt time.Time
	counting  *capacityCount // under way; nil while none is
}

// capacityCount is a count of workers. It goes on when its first caller has gone: the
// next one uses it.
type capacityCount struct {
	done chan struct{} // closed when it is over
	err  error
}

// Capacity returns how many tasks of the kind are worked at at a time, by all
// workers together: 0 while there are none. It may be a second or two out of
// date, and ten when a worker was killed; more when Redis is slow. When Redis
// cannot be reached it says fault.Unavailable, within about a second as Enqueue
// does.
func (c *Client) Capacity(ctx context.Context, kind task.Kind) (int, error) {
	// That there was none is not remembered, so that the first worker to come
	// is given work at once.
	known, age := c.capacities.get(kind)
	there := known > 0 && c.breaker.RemainingDelay() == 0 // nothing failed a moment ago
	if there && age < capacityTTL {
		return known, nil
	}
	count := c.capacities.refresh(c.inspector)
	wait := func() error {
		<-count.done
		return count.err
	}
	if there && age < maxCapacityAge {
		_ = callWithTimeout(ctx, wait) // a Redis that is away shows when something is enqueued
	} else if err := c.withBreaker(ctx, "count workers", wait); err != nil {
		return 0, err
	}
	known, _ = c.capacities.get(kind)
	return known, nil
}

// get returns what was counted last, and how long ago.
func (w *capacityCache) get(kind task.Kind) (capacity int, age time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.capacity[kind], time.Since(w.countedAt)
}

// refresh begins to count, unless that is under way.
func (w *capacityCache) refresh(inspector *asynq.Inspector) *capacityCount {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.counting != nil {
		return w.counting
	}
	begun := &capacityCount{done: make(chan struct{})}
	w.counting = begun
	goroutine.Start(func() error {
		var servers []*asynq.ServerInfo
		err := goroutine.Try(func() (err error) { servers, err = inspector.Servers(); return err })
		capacity := map[task.Kind]int{}
		for _, server := range servers {
			for name := range server.Queues {
				if server.Status == "active" { // and not stopping
					capacity[task.Kind(name)] += server.Concurrency
				}
			}
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if err == nil {
			w.capacity, w.countedAt = capacity, time.Now()
		}
		w.counting, begun.err = nil, err
		close(begun.done)
		return nil
	})
	return begun
}
