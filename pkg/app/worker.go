package app

import (
	"context"
	"fmt"

	"github.com/seed-7a112592/gristmill/pkg/backend/queue"
	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/pipeline/sweep"
	"github.com/seed-7a112592/gristmill/pkg/pipeline/task"
)

// work takes tasks of one kind from the queue and runs them through the step
// until ctx ends and what was under way is finished or handed back.
func work(ctx context.Context, config Config, b *Backends, kind document.TaskKind, step task.Step) error {
	stopping := config.stopping()
	runner := &task.Runner{
		Store:      b.Store,
		Step:       step,
		Live:       b.Live,
		Dispatcher: b.Dispatcher,
		Suspects:   &b.suspects,
		Metrics:    b.Metrics,
		Log:        b.Log,
		Lease:      task.DefaultLease,
		HandBack:   stopping.handBack,
	}
	server, err := queue.NewServer(queue.ServerConfig{
		RedisURL:        config.RedisURL,
		Kind:            kind,
		Concurrency:     config.WorkerConcurrency,
		ShutdownTimeout: config.ShutdownTimeout,
		Log:             b.Log,
	})
	if err != nil {
		return fmt.Errorf("open the queue: %w", err)
	}
	return server.Run(ctx, runner.Run)
}

// Sweep keeps the promises over time until ctx ends. Any number of processes
// may run it; one at a time sweeps. Restarted says that nothing that was under
// way before can still be.
func Sweep(ctx context.Context, b *Backends, restarted bool) {
	sweeper := &sweep.Sweeper{
		Store: b.Store, Objects: b.Objects, Queue: b.Queue, Dispatcher: b.Dispatcher, Log: b.Log, Grace: sweep.DefaultGrace,
	}
	sweeper.Run(ctx, restarted)
}
