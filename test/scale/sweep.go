package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/seed-7a112592/gristmill/internal/pipeline/sweep"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/telemetry"
)

const (
	maxSweepRatio = 1.2
	maxSweepTime  = 50 // ms
)

// measureIdleSweep measures a sweep and a garbage collection that have nothing to do. It first does
// the work that filling the database left over.
func measureIdleSweep(r *report, of []*database) {
	for _, d := range of {
		d.collectAll()
	}
	took := make([][]float64, len(of))
	for i := range warmUpRounds + r.rounds {
		for n, d := range of {
			begin := time.Now()
			d.must(d.sweep())
			if i >= warmUpRounds {
				took[n] = append(took[n], time.Since(begin).Seconds()*1000)
			}
		}
	}
	r.printRatio("sweep with nothing to do", "ms", medians(took), maxSweepRatio)
	r.printMax("", "ms", medians(took), maxSweepTime)
	r.printRatio("", "pages", measureEach(of, func(d *database) float64 { return d.pagesPerRun(func() { d.must(d.sweep()) }) }), maxSweepRatio)
}

// collectAll collects all garbage that is due. A new database has one entry, which starts a search
// of all rows for more.
func (d *database) collectAll() {
	for {
		due, err := d.store.Garbage(d.ctx, 0, 1)
		d.must(err)
		if len(due) == 0 {
			return
		}
		d.must(d.sweep())
	}
}

// sweep runs one sweep and one garbage collection, with an empty queue and empty object storage.
func (d *database) sweep() error {
	log := slog.New(slog.DiscardHandler)
	sweeper, err := sweep.NewSweeper(sweep.SweeperConfig{Store: d.store, Queue: noQueue{}, Dispatcher: dispatcher{d}, Log: log})
	if err != nil {
		return err
	}
	collector, err := sweep.NewGarbageCollector(sweep.GarbageCollectorConfig{
		Store: d.store, Objects: noObjects{}, Metrics: telemetry.NewMetrics(), Log: log, Grace: sweep.DefaultGrace,
	})
	if err != nil {
		return err
	}
	return errors.Join(sweeper.Sweep(d.ctx, 30*time.Second), collector.CollectGarbage(d.ctx))
}

type noObjects struct{}

func (noObjects) Delete(context.Context, string) error { return nil }

type noQueue struct{}

func (noQueue) Enqueue(context.Context, ...task.Dispatch) error { return nil }
func (noQueue) RequeueAbandoned(context.Context) (int, error)   { return 0, nil }
func (noQueue) DataLost(context.Context) (bool, error)          { return false, nil }
func (noQueue) MarkFilled(context.Context) error                { return nil }

// dispatcher dispatches tasks in the store only.
type dispatcher struct{ d *database }

func (p dispatcher) Dispatch(ctx context.Context) {
	_, err := p.d.store.Dispatch(ctx, dispatchWindows)
	p.d.must(err)
}
