package app

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/backend/live"
	"github.com/seed-7a112592/gristmill/pkg/backend/queue"
	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/goroutine"
	"github.com/seed-7a112592/gristmill/pkg/pipeline/notify"
	"github.com/seed-7a112592/gristmill/pkg/pipeline/sweep"
	"github.com/seed-7a112592/gristmill/pkg/pipeline/task"
)

// work takes tasks of one kind from the queue and runs them through the step,
// concurrency of them at a time, and tells webhooks of jobs that have ended. It
// returns when ctx has ended and what was under way is finished or handed back.
func work(ctx context.Context, config Config, b *Backends, kind document.TaskKind, concurrency int, step task.Step) error {
	stopping := config.stopping()
	notifier := notify.New(notify.Config{
		Store: b.Store, Sender: b.Webhooks, Metrics: b.Metrics, Log: b.Log, Grace: stopping.finish + stopping.handBack,
	})
	runner := &task.Runner{
		Store:      b.Store,
		Step:       step,
		Live:       changes{b.Live, notifier},
		Dispatcher: b.Dispatcher,
		Crashed:    b.crashed,
		Metrics:    b.Metrics,
		Log:        b.Log,
		Lease:      task.DefaultLease,
		HandBack:   stopping.handBack * 3 / 4, // and then has the queue know
	}
	server, err := queue.NewServer(queue.ServerConfig{
		RedisURL:        config.RedisURL,
		Kind:            kind,
		Concurrency:     concurrency,
		FinishTimeout:   stopping.finish,
		HandBackTimeout: stopping.handBack,
		CloseTimeout:    stopping.close / 2, // the rest is for the backends
		Log:             b.Log,
	})
	if err != nil {
		return fmt.Errorf("open the queue: %w", err)
	}
	group, ctx := goroutine.WithContext(ctx)
	ctx, stop := context.WithCancel(ctx)
	group.Go(func() error { notifier.Run(ctx); return nil })
	group.Go(func() error {
		defer stop()
		return server.Run(ctx, runner.Run)
	})
	return group.Wait()
}

// changes tells those who follow a job that it has changed, and the notifier.
type changes struct {
	*live.Live
	notifier *notify.Notifier
}

// Changed implements task.Live.
func (c changes) Changed(ctx context.Context, job uuid.UUID) {
	c.Live.Changed(ctx, job)
	c.notifier.Look(ctx)
}

// Sweep keeps the promises over time until ctx ends: it fills the queue, and
// collects garbage. Any number of processes may run it; one at a time does each.
func Sweep(ctx context.Context, b *Backends) error {
	group, ctx := goroutine.WithContext(ctx)
	group.Go(func() error {
		sweeper := &sweep.Sweeper{Store: b.Store, Queue: b.Queue, Dispatcher: b.Dispatcher, Log: b.Log}
		sweeper.Run(ctx)
		return nil
	})
	group.Go(func() error {
		collector := &sweep.Collector{Store: b.Store, Objects: b.Objects, Metrics: b.Metrics, Log: b.Log, Grace: sweep.DefaultGrace}
		collector.Run(ctx)
		return nil
	})
	return group.Wait()
}

// Recover has others see that this process lives, as long as it works at tasks,
// and gives them what those that have died were at.
func Recover(ctx context.Context, _ Config, b *Backends) error {
	recoverer := &sweep.Recoverer{Store: b.Store, Queue: b.Queue, Lease: task.DefaultLease, Log: b.Log}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	running := goroutine.Start(func() error { recoverer.Run(ctx); return nil })
	b.close = append(b.close, func() error {
		stop()
		return <-running
	})
	return nil
}
