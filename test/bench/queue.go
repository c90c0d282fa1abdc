package main

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/seed-7a112592/gristmill/internal/backend/queue"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/test/services"
)

const (
	queuedTasks      = 20_000
	queueEnqueuers   = 8
	queueConcurrency = 32
	queueLimit       = time.Minute
)

// measureQueueRate measures how many empty tasks per second are enqueued, delivered and completed,
// all at the same time.
func measureQueueRate(b *bench) {
	var rates []float64
	for range b.runs {
		b.mustRun(func(b *bench) {
			rates = append(rates, queuedTasks/runEmptyTasks(b).Seconds())
		})
	}
	b.note("%s per second", formatList(rates))
	b.report(result{"enqueue and dispatch of empty tasks (median)", median(rates), "tasks/s", boundMin, 3800})
}

// runEmptyTasks returns the time until the last task is completed.
func runEmptyTasks(b *bench) time.Duration {
	log := slog.New(slog.DiscardHandler)
	url := services.Redis(b)
	client, err := queue.NewClient(queue.Config{RedisURL: url})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { client.Close() })
	server, err := queue.NewServer(queue.ServerConfig{
		RedisURL: url, Kind: task.KindKnowledge, Concurrency: queueConcurrency, FinishTimeout: queueLimit, DrainTimeout: queueLimit, CloseTimeout: queueLimit, Log: log,
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.ctx)
	var left atomic.Int64
	left.Store(queuedTasks)
	done, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- server.Run(ctx, func(context.Context, task.Ref) time.Duration {
			if left.Add(-1) == 0 {
				close(done)
			}
			return 0
		})
	}()
	b.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			b.Errorf("run the queue server: %v", err)
		}
	})

	begin := time.Now()
	enqueue(b, client)
	select {
	case <-done:
	case <-time.After(queueLimit):
		b.Fatalf("%d of %d tasks were not delivered in %s", left.Load(), queuedTasks, queueLimit)
	case <-b.ctx.Done():
		b.Fatal(b.ctx.Err())
	}
	return time.Since(begin)
}

func enqueue(b *bench, client *queue.Client) {
	group, ctx := errgroup.WithContext(b.ctx)
	for range queueEnqueuers {
		group.Go(func() error {
			for range queuedTasks / queueEnqueuers {
				ref := task.Ref{Tenant: "default", DocumentID: uuid.New(), Version: 1, Kind: task.KindKnowledge}
				if err := client.Enqueue(ctx, task.Dispatch{Ref: ref}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
}
