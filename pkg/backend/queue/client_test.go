package queue_test

import (
	"net"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/seed-7a112592/gristmill/pkg/backend/queue"
	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
	"github.com/seed-7a112592/gristmill/test/await"
)

func TestEnqueueTwiceIsHarmless(t *testing.T) {
	onEachRedis(t, func(t *testing.T, url string) {
		c := newClient(t, url)
		ref := newRef(document.Knowledge)
		newer := ref
		newer.Version++
		enqueue(t, c, ref, ref)
		enqueue(t, newClient(t, url), ref, newer)
		if n := tasks(t, c); n != 2 {
			t.Errorf("the queue holds %d tasks, want one for each of 2 versions", n)
		}
	})
}

func TestDepth(t *testing.T) {
	onEachRedis(t, func(t *testing.T, url string) {
		c := newClient(t, url)
		if depths, err := c.Depth(t.Context()); err != nil || len(depths) != 0 {
			t.Fatalf("Depth of an empty Redis = %v, %v", depths, err)
		}
		enqueue(t, c, newRef(document.Knowledge), newRef(document.Knowledge), newRef(document.Summarise))
		await.Until(t, "the oldest task has an age", func() bool {
			depths, err := c.Depth(t.Context())
			if err != nil || depths[document.Knowledge].Tasks != 2 || depths[document.Summarise].Tasks != 1 {
				t.Fatalf("Depth = %v, %v", depths, err)
			}
			return depths[document.Knowledge].Age >= 100*time.Millisecond
		})
	})
}

// What is enqueued after Redis has lost everything is delivered and counted.
func TestRedisLosesItsData(t *testing.T) {
	t.Parallel()
	redis := miniredis.RunT(t)
	c := newClient(t, "redis://"+redis.Addr())
	ref := newRef(document.Knowledge)
	enqueue(t, c, ref)
	redis.FlushAll()
	if n := tasks(t, c); n != 0 {
		t.Fatalf("%d tasks after the flush", n)
	}
	enqueue(t, c, ref)
	if n := tasks(t, c); n != 1 {
		t.Errorf("the queue holds %d tasks, want 1", n)
	}
	got := make(chan document.TaskRef, 1)
	run(t, queue.ServerConfig{RedisURL: "redis://" + redis.Addr()}, collect(got))
	if await.Value(t, got) != ref {
		t.Error("another task was delivered")
	}
}

func TestUnreachableRedis(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(t *testing.T) string{
		"refuses": closedPort,
		"hangs":   hangingServer,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, "redis://"+open(t))
			for call, err := range map[string]func() error{
				"Enqueue": func() error {
					return c.Enqueue(t.Context(), dispatchOf(newRef(document.Knowledge)), dispatchOf(newRef(document.Summarise)))
				},
				"Depth": func() error { _, err := c.Depth(t.Context()); return err },
				"Ping":  func() error { return c.Ping(t.Context()) },
			} {
				start := time.Now()
				f := fault.As(err())
				if f == nil || f.Kind != fault.Unavailable || f.RetryAfter <= 0 {
					t.Errorf("%s = %v, want %s with a time to come again", call, f, fault.Unavailable)
				}
				if took := time.Since(start); took > 2*time.Second {
					t.Errorf("%s took %s", call, took)
				}
			}
		})
	}
}

func TestMisconfigured(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"", "127.0.0.1:6379", "http://127.0.0.1", "redis://127.0.0.1/x", "redis-sentinel://127.0.0.1?master=m"} {
		if _, err := queue.NewClient(queue.Config{RedisURL: url}); err == nil {
			t.Errorf("NewClient(%q) succeeded", url)
		}
		if _, err := queue.NewServer(queue.ServerConfig{RedisURL: url, Concurrency: 1}); err == nil {
			t.Errorf("NewServer(%q) succeeded", url)
		}
	}
	if _, err := queue.NewServer(queue.ServerConfig{RedisURL: "redis://127.0.0.1"}); err == nil {
		t.Error("NewServer without concurrency succeeded")
	}
}

// closedPort returns an address where nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// hangingServer returns an address that takes connections and never answers.
func hangingServer(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener.Addr().String()
}
