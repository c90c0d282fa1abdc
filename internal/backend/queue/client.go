package queue

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/hibiken/asynq"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/task"
)

// Config says where the queue is.
type Config struct {
	RedisURL string // redis://[user:password@]host:port[/db], or rediss:// for TLS
}

// Client puts tasks into the queue and looks at it. It is safe for concurrent
// use.
type Client struct {
	redis         sharedRedis
	asynq         atomic.Pointer[asynq.Client]
	inspector     *asynq.Inspector
	breaker       circuitbreaker.CircuitBreaker[any]
	capacities    capacityCache
	activeEntries activeEntries

	abandonedAfter time.Duration // but for tests, abandonedAfter
}

// sharedRedis is one Redis client for all that a Client makes of asynq.
type sharedRedis struct{ client any }

// MakeRedisClient implements asynq.RedisConnOpt.
func (s sharedRedis) MakeRedisClient() any { return s.client }

// NewClient returns a client of the configured queue. It does not talk to
// Redis; Ping does.
func NewClient(cfg Config) (*Client, error) {
	opt, err := parseURL(cfg.RedisURL)
	if err != nil {
		return nil, err
	}
	opt.DialTimeout, opt.ReadTimeout, opt.WriteTimeout = dialTimeout, callTimeout, callTimeout
	shared := sharedRedis{opt.MakeRedisClient()}
	c := &Client{
		redis:     shared,
		inspector: asynq.NewInspector(shared),
		breaker:   circuitbreaker.NewBuilder[any]().WithFailureThreshold(1).WithDelay(skipAfterFailure).Build(),

		abandonedAfter: abandonedAfter,
	}
	c.asynq.Store(asynq.NewClient(shared))
	return c, nil
}

// Close releases the client's connections.
func (c *Client) Close() error {
	return c.asynq.Load().Close() // and with it the Redis client that all share
}

// Ping reports whether Redis answers.
func (c *Client) Ping(ctx context.Context) error {
	return wrapUnavailable(ctx, callWithTimeout(ctx, c.asynq.Load().Ping), "ping redis")
}

// noTimeout is how long a task may take. asynq has no way to say "as long as
// it needs", and takes half an hour when told nothing.
const noTimeout = 10 * 365 * 24 * time.Hour

// Enqueue has each task delivered as soon as a worker is free. What the queue
// already holds, at work or waiting for its time, is left as it is. When Redis
// cannot be reached it says fault.Unavailable within about a second, and at
// once when that has just been found out; some may have been enqueued then, and
// enqueueing all of them again is harmless.
func (c *Client) Enqueue(ctx context.Context, dispatches ...task.Dispatch) error {
	for _, dispatch := range dispatches {
		task, err := encodeTask(dispatch.Ref)
		if err != nil {
			return fmt.Errorf("enqueue %s: %w", dispatch, err)
		}
		if err := c.withBreaker(ctx, "enqueue "+dispatch.String(), func() error {
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

// entryOptions are those of a task's entry in a queue.
func entryOptions(id, queue string) []asynq.Option {
	return []asynq.Option{
		asynq.TaskID(id),
		asynq.Queue(queue),
		asynq.MaxRetry(math.MaxInt32), // the database counts attempts
		asynq.Timeout(noTimeout),
	}
}

// The marker is a task that nobody is to do: while it is there, the queue has
// lost nothing since it was filled.
const (
	markerQueue = "sweep"
	markerID    = "filled"
)

// DataLost reports whether the queue has lost all that was in it since Filled was
// called last, or was never filled.
func (c *Client) DataLost(ctx context.Context) (bool, error) {
	var lost bool
	if err := c.withBreaker(ctx, "look for the queue's marker", func() error {
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

// MarkFilled says that all that belongs into the queue is there.
func (c *Client) MarkFilled(ctx context.Context) error {
	return c.withBreaker(ctx, "set the queue's marker", func() error {
		_, err := c.asynq.Load().EnqueueContext(ctx, asynq.NewTask(markerQueue, nil),
			asynq.TaskID(markerID), asynq.Queue(markerQueue), asynq.ProcessIn(noTimeout))
		if errors.Is(err, asynq.ErrTaskIDConflict) {
			return nil
		}
		return err
	})
}

// reannounceQueues has every queue announced again when something is next enqueued
// there. A client of asynq announces a queue only once, and one that Redis has
// forgotten stays out of sight.
func (c *Client) reannounceQueues() { c.asynq.Store(asynq.NewClient(c.redis)) }

// Depth is how much waits in a queue.
type Depth struct {
	Tasks int           // waiting for a worker or for their time, or at work
	Age   time.Duration // of the one that has waited for a worker longest
}

// Depths returns the depth of every kind's queue.
func (c *Client) Depths(ctx context.Context) (map[task.Kind]Depth, error) {
	depths := map[task.Kind]Depth{}
	if err := c.withBreaker(ctx, "look at queues", func() error {
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

// withBreaker does a bounded call of Redis, unless one has just failed: a Redis that
// hangs holds up one caller a second, and not all of them.
func (c *Client) withBreaker(ctx context.Context, operation string, do func() error) error {
	if !c.breaker.TryAcquirePermit() {
		return fault.New(fault.Unavailable, "the queue could not be reached a moment ago").WithRetryAfter(skipAfterFailure)
	}
	err := callWithTimeout(ctx, do)
	if err == nil || ctx.Err() != nil { // a caller who leaves says nothing about Redis
		c.breaker.RecordSuccess()
	} else {
		c.breaker.RecordFailure()
	}
	return wrapUnavailable(ctx, err, operation)
}
