package queue_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/alicebob/miniredis/v2"
	"github.com/rs/zerolog"

	"github.com/seed-7a112592/gristmill/internal/backend/queue"
	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/test/await"
)

func TestEnqueueIsIdempotent(t *testing.T) {
	onEachRedis(t, func(t *testing.T, url string) {
		c := newClient(t, url)
		ref := newRef(task.KindKnowledge)
		newer := ref
		newer.Version++
		enqueue(t, c, ref, ref)
		enqueue(t, newClient(t, url), ref, newer)
		if n := countTasks(t, c); n != 2 {
			t.Errorf("the queue holds %d tasks, want one for each of 2 versions", n)
		}
	})
}

func TestDepth(t *testing.T) {
	onEachRedis(t, func(t *testing.T, url string) {
		c := newClient(t, url)
		if depths, err := c.Depths(t.Context()); err != nil || len(depths) != 0 {
			t.Fatalf("Depths of an empty Redis = %v, %v", depths, err)
		}
		enqueue(t, c, newRef(task.KindKnowledge), newRef(task.KindKnowledge), newRef(task.KindSummary), newRef(task.KindReindex))
		await.Until(t, "the oldest task has an age", func() bool {
			depths, err := c.Depths(t.Context())
			if err != nil || depths[task.KindKnowledge].Tasks != 2 || depths[task.KindSummary].Tasks != 1 || depths[task.KindReindex].Tasks != 1 {
				t.Fatalf("Depths = %v, %v", depths, err)
			}
			return depths[task.KindKnowledge].Age >= 100*time.Millisecond
		})
	})
}

func TestCapacity(t *testing.T) {
	onEachRedis(t, func(t *testing.T, url string) {
		nothing := func(context.Context, task.Ref) time.Duration { return 0 }
		// Each count uses a new client, because a client that knows of workers counts them again
		// only after a while.
		capacity := func(kind task.Kind) int {
			n, err := newClient(t, url).Capacity(t.Context(), kind)
			if err != nil {
				t.Error(err)
			}
			return n
		}
		if n := capacity(task.KindKnowledge); n != 0 {
			t.Errorf("capacity is %d before there is a worker", n)
		}
		c := newClient(t, url)
		runServer(t, queue.ServerConfig{RedisURL: url, Concurrency: 3}, nothing)
		stop := runServer(t, queue.ServerConfig{RedisURL: url, Concurrency: 4}, nothing)
		runServer(t, queue.ServerConfig{RedisURL: url, Concurrency: 5, Kind: task.KindSummary}, nothing)
		await.Until(t, "all workers have registered", func() bool {
			return capacity(task.KindKnowledge) == 7 && capacity(task.KindSummary) == 5
		})
		if n, err := c.Capacity(t.Context(), task.KindKnowledge); n != 7 || err != nil {
			t.Errorf("capacity is %d, %v; want 7", n, err)
		}
		stop()
		if n := capacity(task.KindKnowledge); n != 3 {
			t.Errorf("capacity is %d after one of the workers has stopped, want 3", n)
		}
		if n, err := c.Capacity(t.Context(), task.KindKnowledge); n != 7 || err != nil {
			t.Errorf("capacity is %d, %v, just after the count; want 7 still", n, err)
		}
	})
}

// A count takes several round trips; if each of them is slow, it takes longer than a caller waits.
// The capacity is known in the end, and tasks are enqueued.
func TestCapacityWithSlowRedis(t *testing.T) {
	onEachRedis(t, func(t *testing.T, url string) {
		runServer(t, queue.ServerConfig{RedisURL: url, Concurrency: 3}, func(context.Context, task.Ref) time.Duration { return time.Hour })
		runServer(t, queue.ServerConfig{RedisURL: url, Concurrency: 4}, func(context.Context, task.Ref) time.Duration { return time.Hour })
		c := newClient(t, newSlowProxy(t, url, 120*time.Millisecond))
		await.Until(t, "the capacity is known", func() bool {
			n, err := c.Capacity(t.Context(), task.KindKnowledge)
			return err == nil && n == 7
		})
		known := time.Now()
		await.Until(t, "the count is old", func() bool {
			if n, err := c.Capacity(t.Context(), task.KindKnowledge); err != nil || n != 7 {
				t.Fatalf("capacity is %d, %v after %s; want 7 still", n, err, time.Since(known))
			}
			return time.Since(known) > 3*time.Second
		})
		await.Until(t, "a task is enqueued", func() bool {
			return c.Enqueue(t.Context(), dispatchOf(newRef(task.KindKnowledge))) == nil
		})
	})
}

// A task that is enqueued after Redis has lost its data is delivered and counted.
func TestRedisLosesData(t *testing.T) {
	t.Parallel()
	redis := miniredis.RunT(t)
	c := newClient(t, "redis://"+redis.Addr())
	ref := newRef(task.KindKnowledge)
	enqueue(t, c, ref)
	other := newClient(t, "redis://"+redis.Addr())
	lost := func(want bool) {
		t.Helper()
		if got, err := c.DataLost(t.Context()); err != nil || got != want {
			t.Fatalf("DataLost = %t, %v; want %t", got, err, want)
		}
	}
	lost(true) // never filled
	for range 2 {
		if err := c.MarkFilled(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	lost(false)
	redis.FlushAll()
	enqueue(t, other, newRef(task.KindSummary)) // announces its queue
	lost(true)
	enqueue(t, c, ref)
	if err := c.MarkFilled(t.Context()); err != nil {
		t.Fatal(err)
	}
	lost(false)
	if n := countTasks(t, c); n != 1 {
		t.Errorf("the queue holds %d tasks, want 1", n)
	}
	got := make(chan task.Ref, 1)
	runServer(t, queue.ServerConfig{RedisURL: "redis://" + redis.Addr()}, collectTasks(got))
	if await.Receive(t, got) != ref {
		t.Error("another task was delivered")
	}
}

func TestUnreachableRedis(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(t *testing.T) string{
		"refuses": closedPort,
		"hangs":   newHangingServer,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := "redis://" + open(t)
			for name, call := range map[string]func(c *queue.Client) error{
				"Enqueue": func(c *queue.Client) error {
					return c.Enqueue(t.Context(), dispatchOf(newRef(task.KindKnowledge)), dispatchOf(newRef(task.KindSummary)))
				},
				"Capacity":   func(c *queue.Client) error { _, err := c.Capacity(t.Context(), task.KindKnowledge); return err },
				"Depths":     func(c *queue.Client) error { _, err := c.Depths(t.Context()); return err },
				"DataLost":   func(c *queue.Client) error { _, err := c.DataLost(t.Context()); return err },
				"MarkFilled": func(c *queue.Client) error { return c.MarkFilled(t.Context()) },
				"Ping":       func(c *queue.Client) error { return c.Ping(t.Context()) },
			} {
				c := newClient(t, url)
				start := time.Now()
				f := fault.As(call(c))
				if f == nil || f.Kind != fault.Unavailable || f.RetryAfter <= 0 {
					t.Errorf("%s = %v, want %s with RetryAfter", name, f, fault.Unavailable)
				}
				if took := time.Since(start); took > 2*time.Second {
					t.Errorf("%s took %s", name, took)
				}
			}
		})
	}
}

// One call a second tests whether Redis is back; the other calls do not wait.
func TestHangingRedisDelaysOneCaller(t *testing.T) {
	t.Parallel()
	c := newClient(t, "redis://"+newHangingServer(t))
	if err := c.Enqueue(t.Context(), dispatchOf(newRef(task.KindKnowledge))); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("Enqueue = %v, want %s", err, fault.Unavailable)
	}
	start := time.Now()
	for range 10 {
		_, capacityErr := c.Capacity(t.Context(), task.KindKnowledge)
		_, depthErr := c.Depths(t.Context())
		for _, err := range []error{capacityErr, depthErr, c.Enqueue(t.Context(), dispatchOf(newRef(task.KindKnowledge)))} {
			if !fault.Is(err, fault.Unavailable) {
				t.Errorf("got %v, want %s", err, fault.Unavailable)
			}
		}
	}
	if took := time.Since(start); took > 500*time.Millisecond {
		t.Errorf("30 calls after a failed one took %s", took)
	}
}

func TestNewRejectsInvalidConfig(t *testing.T) {
	t.Parallel()
	valid := queue.ServerConfig{
		RedisURL: "redis://127.0.0.1", Kind: task.KindKnowledge, Concurrency: 1, DrainTimeout: time.Second, CloseTimeout: time.Second, Log: slog.New(slog.DiscardHandler),
	}
	if _, err := queue.NewServer(valid); err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{"", "127.0.0.1:6379", "http://127.0.0.1", "redis://127.0.0.1/x", "redis-sentinel://127.0.0.1?master=m"} {
		if _, err := queue.NewClient(queue.Config{RedisURL: url}); err == nil {
			t.Errorf("NewClient(%q) succeeded", url)
		}
		cfg := valid
		cfg.RedisURL = url
		if _, err := queue.NewServer(cfg); err == nil {
			t.Errorf("NewServer(%q) succeeded", url)
		}
	}
	for _, concurrency := range []int{0, -1} {
		cfg := valid
		cfg.Concurrency = concurrency
		if _, err := queue.NewServer(cfg); err == nil {
			t.Errorf("NewServer with concurrency %d succeeded", concurrency)
		}
	}
}

// closedPort returns an address on which nothing listens.
func closedPort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// newHangingServer returns the address of a server that accepts connections and never answers.
func newHangingServer(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener.Addr().String()
}

// newSlowProxy returns the URL of a proxy to a Redis that delays all data, in both directions.
func newSlowProxy(t *testing.T, address string, delay time.Duration) string {
	t.Helper()
	redis, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	proxy := toxiproxy.NewProxy(server, "redis", "127.0.0.1:0", redis.Host)
	if err := proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Stop)
	for _, direction := range []string{"upstream", "downstream"} {
		toxic := fmt.Sprintf(`{"type": "latency", "stream": %q, "attributes": {"latency": %d}}`, direction, delay.Milliseconds())
		if _, err := proxy.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
			t.Fatal(err)
		}
	}
	redis.Host = proxy.Listen
	return redis.String()
}
