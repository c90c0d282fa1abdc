package queue_test

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/backend/queue"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/test/services"
)

// BenchmarkDispatch enqueues empty tasks from several goroutines while they are delivered and
// handled. Run it with -benchtime=20000x or more: a server that starts on an empty queue polls only
// every 20 ms.
func BenchmarkDispatch(b *testing.B) {
	const enqueuers = 8
	url := services.Redis(b)
	c := newClient(b, url)
	var left atomic.Int64
	left.Store(int64(b.N))
	done := make(chan struct{})
	runServer(b, queue.ServerConfig{RedisURL: url, Concurrency: 32, FinishTimeout: time.Minute, Log: slog.New(slog.DiscardHandler)},
		func(context.Context, task.Ref) time.Duration {
			if left.Add(-1) == 0 {
				close(done)
			}
			return 0
		})
	b.ResetTimer()
	var group sync.WaitGroup
	for i := range enqueuers {
		group.Go(func() {
			for range b.N/enqueuers + min(1, max(0, b.N%enqueuers-i)) {
				ref := task.Ref{Tenant: "default", DocumentID: uuid.New(), Version: 1, Kind: task.KindKnowledge}
				if err := c.Enqueue(b.Context(), task.Dispatch{Ref: ref}); err != nil {
					b.Error(err)
				}
			}
		})
	}
	group.Wait()
	enqueued := b.Elapsed()
	select {
	case <-done:
	case <-time.After(time.Minute):
		b.Fatalf("%d of %d tasks were not delivered in a minute", left.Load(), b.N)
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tasks/s")
	b.ReportMetric(float64(b.N)/enqueued.Seconds(), "enqueued/s")
}
