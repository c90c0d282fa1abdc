package app

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/backend/progress"
	"github.com/seed-7a112592/gristmill/internal/backend/queue"
	"github.com/seed-7a112592/gristmill/internal/goroutine"
	"github.com/seed-7a112592/gristmill/internal/pipeline/sweep"
	"github.com/seed-7a112592/gristmill/internal/pipeline/webhooks"
	"github.com/seed-7a112592/gristmill/internal/pipeline/worker"
	"github.com/seed-7a112592/gristmill/internal/task"
)

// runTasks takes tasks of one kind from the queue, runs the step for up to concurrency of them at the
// same time, and sends deliveries to webhooks. It returns when ctx has ended and the running tasks
// have finished or returned to the queue.
func runTasks(ctx context.Context, config Config, b *Backends, kind task.Kind, concurrency int, step worker.Step) error {
	phases := config.shutdownPhases()
	deliverer, err := webhooks.NewDeliverer(webhooks.DelivererConfig{
		Store: b.Store, Sender: b.Webhooks, Metrics: b.Metrics, Log: b.Log, DrainTimeout: phases.finish + phases.drain,
	})
	if err != nil {
		return err
	}
	runner, err := worker.NewRunner(worker.RunnerConfig{
		Store:        b.Store,
		Step:         step,
		Changes:      changeNotifier{b.Progress, deliverer},
		Dispatcher:   b.Dispatcher,
		CrashLane:    b.crashLane,
		Metrics:      b.Metrics,
		Log:          b.Log,
		LeaseTTL:     worker.DefaultLeaseTTL,
		DrainTimeout: phases.drain * 3 / 4, // the rest is for the queue
	})
	if err != nil {
		return err
	}
	server, err := queue.NewServer(queue.ServerConfig{
		RedisURL:      config.RedisURL,
		Kind:          kind,
		Concurrency:   concurrency,
		FinishTimeout: phases.finish,
		DrainTimeout:  phases.drain,
		CloseTimeout:  phases.close / 2, // the rest is for the backends
		Log:           b.Log,
	})
	if err != nil {
		return fmt.Errorf("open the queue: %w", err)
	}
	group, ctx := goroutine.WithContext(ctx)
	ctx, stop := context.WithCancel(ctx)
	group.Go(func() error { deliverer.Run(ctx); return nil })
	group.Go(func() error {
		defer stop()
		return server.Run(ctx, runner.Run)
	})
	return group.Wait()
}

// changeNotifier notifies the followers of a job that it has changed, and wakes the deliverer, since
// the job may have ended.
type changeNotifier struct {
	*progress.Store
	deliverer *webhooks.Deliverer
}

// NotifyChange implements worker.ChangeNotifier.
func (c changeNotifier) NotifyChange(ctx context.Context, job uuid.UUID) {
	c.Store.NotifyChange(ctx, job)
	c.deliverer.Wake(ctx)
}

// Sweep re-enqueues lost tasks and deletes unreferenced data until ctx ends. Any number of processes
// may call it; one at a time does each.
func Sweep(ctx context.Context, b *Backends) error {
	sweeper, err := sweep.NewSweeper(sweep.SweeperConfig{Store: b.Store, Queue: b.Queue, Dispatcher: b.Dispatcher, Log: b.Log})
	if err != nil {
		return err
	}
	collector, err := sweep.NewGarbageCollector(sweep.GarbageCollectorConfig{
		Store: b.Store, Objects: b.Objects, Metrics: b.Metrics, Log: b.Log, Grace: sweep.DefaultGrace,
	})
	if err != nil {
		return err
	}
	group, ctx := goroutine.WithContext(ctx)
	group.Go(func() error { sweeper.Run(ctx); return nil })
	group.Go(func() error { collector.Run(ctx); return nil })
	return group.Wait()
}

// RecoverLostTasks announces that this process is alive, and gives the tasks of processes that have
// died to other workers. It returns immediately and runs in the background until the backends are
// closed: until then, the process may still run tasks.
func RecoverLostTasks(ctx context.Context, _ Config, b *Backends) error {
	recoverer, err := worker.NewRecoverer(worker.RecovererConfig{Store: b.Store, Queue: b.Queue, LeaseTTL: worker.DefaultLeaseTTL, Log: b.Log})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	running := goroutine.Start(func() error { recoverer.Run(ctx); return nil })
	b.close = append(b.close, func() error {
		stop()
		return <-running
	})
	return nil
}
