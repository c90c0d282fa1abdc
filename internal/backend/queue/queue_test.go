package queue_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/backend/queue"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/test/await"
	"github.com/seed-7a112592/gristmill/internal/test/services"
)

// onEachRedis runs a test on a real Redis and on the embedded one of dev mode.
func onEachRedis(t *testing.T, test func(t *testing.T, url string)) {
	t.Parallel()
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		test(t, services.Redis(t))
	})
	t.Run("miniredis", func(t *testing.T) {
		t.Parallel()
		test(t, "redis://"+miniredis.RunT(t).Addr())
	})
}

func newClient(t testing.TB, url string) *queue.Client {
	t.Helper()
	c, err := queue.NewClient(queue.Config{RedisURL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// runServer runs a server until the test ends or stop is called. stop returns after Run has
// returned. Zero fields of cfg get values that suit most tests.
func runServer(t testing.TB, cfg queue.ServerConfig, handle queue.Handler) (stop func()) {
	t.Helper()
	if cfg.Kind == "" {
		cfg.Kind = task.KindKnowledge
	}
	if cfg.Concurrency == 0 {
		cfg.Concurrency = 1
	}
	if cfg.DrainTimeout == 0 {
		cfg.DrainTimeout = 2 * time.Second
	}
	if cfg.CloseTimeout == 0 {
		cfg.CloseTimeout = 2 * time.Second
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	s, err := queue.NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, handle) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := await.Receive(t, done); err != nil {
			t.Errorf("Run: %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

func newRef(kind task.Kind) task.Ref {
	return task.Ref{Tenant: "acme", DocumentID: uuid.Must(uuid.NewV7()), Version: 1, Kind: kind}
}

// dispatchOf returns the task's first dispatch.
func dispatchOf(ref task.Ref) task.Dispatch { return task.Dispatch{Ref: ref} }

func enqueue(t testing.TB, c *queue.Client, refs ...task.Ref) {
	t.Helper()
	for _, ref := range refs {
		if err := c.Enqueue(t.Context(), dispatchOf(ref)); err != nil {
			t.Fatal(err)
		}
	}
}

// countTasks returns how many tasks the knowledge queue holds.
func countTasks(t testing.TB, c *queue.Client) int {
	t.Helper()
	depths, err := c.Depths(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return depths[task.KindKnowledge].Tasks
}
