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
	// capacityTTL is how long a count of workers is used. maxCapacityAge is how long it is used if
	// the next count is slow: a count takes two round trips for each worker.
	capacityTTL    = 2 * time.Second
	maxCapacityAge = time.Minute
)

// capacityCache is the capacity that a Client has counted.
type capacityCache struct {
	mu        sync.Mutex
	capacity  map[task.Kind]int
	countedAt time.Time
	counting  *capacityCount // the running count; nil if none is running
}

// capacityCount is a running count of workers. It continues when its first caller has left, so that
// the next caller can use it.
type capacityCount struct {
	done chan struct{} // closed when the count has ended
	err  error
}

// Capacity returns how many tasks of the kind all workers together can run concurrently, 0 if there
// are no workers. The number may be a second or two old, ten seconds after a worker was killed, and
// older when Redis is slow. If Redis cannot be reached, Capacity returns fault.Unavailable within
// about a second, like Enqueue.
func (c *Client) Capacity(ctx context.Context, kind task.Kind) (int, error) {
	// A capacity of 0 is not cached, so that the first worker gets tasks immediately.
	known, age := c.capacities.get(kind)
	usable := known > 0 && !c.guard.IsSkipping()
	if usable && age < capacityTTL {
		return known, nil
	}
	count := c.capacities.refresh(c.inspector)
	wait := func() error {
		<-count.done
		return count.err
	}
	if usable && age < maxCapacityAge {
		_ = c.try(ctx, callTimeout, "count workers", wait) // if Redis is down, the next Enqueue reports it
	} else if err := c.do(ctx, "count workers", wait); err != nil {
		return 0, err
	}
	known, _ = c.capacities.get(kind)
	return known, nil
}

// get returns the last count, and its age.
func (w *capacityCache) get(kind task.Kind) (capacity int, age time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.capacity[kind], time.Since(w.countedAt)
}

// refresh starts a count, unless one is running.
func (w *capacityCache) refresh(inspector *asynq.Inspector) *capacityCount {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.counting != nil {
		return w.counting
	}
	count := &capacityCount{done: make(chan struct{})}
	w.counting = count
	goroutine.Start(func() error {
		var servers []*asynq.ServerInfo
		err := goroutine.Try(func() (err error) { servers, err = inspector.Servers(); return err })
		capacity := map[task.Kind]int{}
		for _, server := range servers {
			for name := range server.Queues {
				if server.Status == "active" { // not stopping
					capacity[task.Kind(name)] += server.Concurrency
				}
			}
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if err == nil {
			w.capacity, w.countedAt = capacity, time.Now()
		}
		w.counting, count.err = nil, err
		close(count.done)
		return nil
	})
	return count
}
