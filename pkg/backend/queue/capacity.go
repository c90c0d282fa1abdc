package queue

import (
	"context"
	"sync"
	"time"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// capacityLifetime is how long what workers were counted is remembered.
const capacityLifetime = 2 * time.Second

// workers is what a Client knows of those who deliver.
type workers struct {
	mu       sync.Mutex
	capacity map[document.TaskKind]int
	counted  time.Time
}

// Capacity returns how many tasks of the kind are worked at at a time, by all
// workers together: 0 while there are none. It may be a second or two out of
// date, and ten when a worker was killed. When Redis cannot be reached it says
// fault.Unavailable, within about a second as Enqueue does.
func (c *Client) Capacity(ctx context.Context, kind document.TaskKind) (int, error) {
	c.workers.mu.Lock()
	defer c.workers.mu.Unlock()
	// That there was none is not remembered, so that the first worker to come
	// is given work at once.
	if n := c.workers.capacity[kind]; n > 0 && time.Since(c.workers.counted) < capacityLifetime && !c.breaker.IsOpen() {
		return n, nil
	}
	capacity := map[document.TaskKind]int{}
	if err := c.call(ctx, "count workers", func() error {
		servers, err := c.inspector.Servers()
		for _, server := range servers {
			for name := range server.Queues {
				if server.Status == "active" { // and not stopping
					capacity[document.TaskKind(name)] += server.Concurrency
				}
			}
		}
		return err
	}); err != nil {
		return 0, err
	}
	c.workers.capacity, c.workers.counted = capacity, time.Now()
	return capacity[kind], nil
}
