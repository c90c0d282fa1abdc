package queue

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"

	"github.com/seed-7a112592/gristmill/internal/backend/redisguard"
	"github.com/seed-7a112592/gristmill/internal/task"
)

// Config configures the connection to the queue.
type Config struct {
	RedisURL string // redis://[user:password@]host:port[/db], or rediss:// for TLS
}

// Client enqueues tasks and inspects the queue. It is safe for concurrent use.
type Client struct {
	redis         sharedRedis
	asynq         atomic.Pointer[asynq.Client]
	inspector     *asynq.Inspector
	guard         *redisguard.Guard
	capacities    capacityCache
	activeEntries activeEntries

	abandonedAfter time.Duration // abandonedAfter, except in tests
}

// sharedRedis makes all asynq objects of a Client share one Redis client.
type sharedRedis struct{ client any }

// MakeRedisClient implements asynq.RedisConnOpt.
func (s sharedRedis) MakeRedisClient() any { return s.client }

// NewClient returns a client of the configured queue. It does not connect to Redis; Ping does.
func NewClient(cfg Config) (*Client, error) {
	opt, err := parseURL(cfg.RedisURL)
	if err != nil {
		return nil, err
	}
	guard, err := redisguard.New(redisguard.Config{Subject: "the queue", Timeout: callTimeout, RetryAfter: retryAfter})
	if err != nil {
		return nil, err
	}
	opt.DialTimeout, opt.ReadTimeout, opt.WriteTimeout = dialTimeout, callTimeout, callTimeout
	shared := sharedRedis{opt.MakeRedisClient()}
	c := &Client{
		redis:     shared,
		inspector: asynq.NewInspector(shared),
		guard:     guard,

		abandonedAfter: abandonedAfter,
	}
	c.asynq.Store(asynq.NewClient(shared))
	return c, nil
}

// Close closes the client's connections.
func (c *Client) Close() error {
	return c.asynq.Load().Close() // also closes the shared Redis client
}

// Ping reports whether Redis answers.
func (c *Client) Ping(ctx context.Context) error {
	return c.try(ctx, callTimeout, "ping redis", c.asynq.Load().Ping)
}

// noTimeout is the time limit of a task. asynq cannot be told to set no limit: without a value it
// uses half an hour.
const noTimeout = 10 * 365 * 24 * time.Hour

// Enqueue enqueues tasks, to be delivered as soon as a worker is free. It does not change a task
// that the queue already holds: waiting, delayed or active. If Redis cannot be reached, it returns
// fault.Unavailable within about a second, and immediately if a call has just failed. Some of the
// tasks may have been enqueued then; enqueueing all of them again is harmless.
func (c *Client) Enqueue(ctx context.Context, dispatches ...task.Dispatch) error {
	for _, dispatch := range dispatches {
		task, err := encodeTask(dispatch.Ref)
		if err != nil {
			return fmt.Errorf("enqueue %s: %w", dispatch, err)
		}
		if err := c.do(ctx, "enqueue "+dispatch.String(), func() error {
			_, err := c.asynq.Load().EnqueueContext(ctx, task, entryOptions(dispatch.String(), string(dispatch.Kind))...)
			if errors.Is(err, asynq.ErrTaskIDConflict) {
				return nil
			}
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// entryOptions returns the options of a task's entry in a queue.
func entryOptions(id, queue string) []asynq.Option {
	return []asynq.Option{
		asynq.TaskID(id),
		asynq.Queue(queue),
		asynq.MaxRetry(math.MaxInt32), // the database counts the attempts
		asynq.Timeout(noTimeout),
	}
}

// The marker is a delayed entry that no worker handles. As long as it exists, the queue has lost
// nothing since it was filled.
const (
	markerQueue = "sweep"
	markerID    = "filled"
)

// DataLost reports whether the queue has lost its data since MarkFilled was last called, or was
// never filled.
func (c *Client) DataLost(ctx context.Context) (bool, error) {
	var lost bool
	if err := c.do(ctx, "look for the queue's marker", func() error {
		_, err := c.inspector.GetTaskInfo(markerQueue, markerID)
		if errors.Is(err, asynq.ErrQueueNotFound) || errors.Is(err, asynq.ErrTaskNotFound) {
			lost = true
			return nil
		}
		return err
	}); err != nil {
		return false, err
	}
	if lost {
		c.reannounceQueues()
	}
	return lost, nil
}

// MarkFilled records that the queue holds all tasks that are due.
func (c *Client) MarkFilled(ctx context.Context) error {
	return c.do(ctx, "set the queue's marker", func() error {
		_, err := c.asynq.Load().EnqueueContext(ctx, asynq.NewTask(markerQueue, nil),
			asynq.TaskID(markerID), asynq.Queue(markerQueue), asynq.ProcessIn(noTimeout))
		if errors.Is(err, asynq.ErrTaskIDConflict) {
			return nil
		}
		return err
	})
}

// reannounceQueues makes the client announce every queue again at the next enqueue. An asynq client
// announces a queue only once, and inspectors do not see a queue whose announcement Redis has lost.
func (c *Client) reannounceQueues() { c.asynq.Store(asynq.NewClient(c.redis)) }

// Depth is the number and age of the tasks in a queue.
type Depth struct {
	Tasks int           // pending, delayed or active
	Age   time.Duration // waiting time of the oldest pending task
}

// Depths returns the depth of every kind's queue.
func (c *Client) Depths(ctx context.Context) (map[task.Kind]Depth, error) {
	depths := map[task.Kind]Depth{}
	if err := c.do(ctx, "inspect queues", func() error {
		announced, err := c.inspector.Queues()
		if err != nil {
			return err
		}
		for _, kind := range task.Kinds {
			if !slices.Contains(announced, string(kind)) {
				c.reannounceQueues() // nothing was ever enqueued, or Redis has lost its data
				continue
			}
			info, err := c.inspector.GetQueueInfo(string(kind))
			if err != nil {
				return err
			}
			depths[kind] = Depth{
				Tasks: info.Pending + info.Active + info.Scheduled + info.Retry,
				Age:   info.Latency,
			}
		}
		return nil
	}); err != nil {
		return nil, err
	}
	return depths, nil
}

// do makes a call for which asynq takes no context, unless a call has just failed.
func (c *Client) do(ctx context.Context, operation string, call func() error) error {
	return c.guard.Do(ctx, operation, func(ctx context.Context) error { return redisguard.Abandon(ctx, call) })
}

// try is do for a call that is made in any case.
func (c *Client) try(ctx context.Context, timeout time.Duration, operation string, call func() error) error {
	return c.guard.Try(ctx, timeout, operation, func(ctx context.Context) error { return redisguard.Abandon(ctx, call) })
}
