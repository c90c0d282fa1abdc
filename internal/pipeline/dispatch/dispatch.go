// Package dispatch puts tasks into the queue, from each tenant no more than
// keeps the workers busy: so the queue is short, and who comes with one
// document does not wait behind another's ten thousand.
package dispatch

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/goroutine"
	"github.com/seed-7a112592/gristmill/internal/required"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
)

// Store says what is next; see storetest.Dispatching for the contract.
type Store interface {
	Dispatch(ctx context.Context, windows map[task.Kind]int) ([]task.Dispatch, error)
}

// Queue takes tasks to workers. When it cannot be reached it says
// fault.Unavailable soon.
type Queue interface {
	// Capacity returns how many tasks of the kind are worked at at a time, by
	// all workers together.
	Capacity(ctx context.Context, kind task.Kind) (int, error)

	// Enqueue has the tasks delivered. Enqueueing one twice is harmless.
	Enqueue(ctx context.Context, dispatches ...task.Dispatch) error
}

const (
	// callerTimeout is how long callers wait for a round.
	callerTimeout = 2 * time.Second

	// roundTimeout bounds a round. It is longer than patience, so that tasks get
	// to workers also when every answer of the store and the queue is slow.
	roundTimeout = 20 * time.Second
)

// Config is what a dispatcher needs.
type Config struct {
	Store Store
	Queue Queue
	Log   *slog.Logger
}

// Dispatcher dispatches. It is safe for concurrent use.
type Dispatcher struct {
	Config

	mu           sync.Mutex
	coalescers   map[string]*coalescer // of tenants that somebody asks for
	outageLogged atomic.Bool           // the queue, and that was logged
}

// coalescer lets the rounds for one tenant follow each other. A round also does
// what was asked for while it was waited for: however many ask, none waits for
// more than two rounds.
type coalescer struct {
	refs      int // who hold it, under the dispatcher's lock
	requested atomic.Int64
	slot      chan struct{} // of one: held by the caller whose turn it is
	served    int64         // of those who asked; theirs whose turn it is
}

// NewDispatcher returns a dispatcher, or an error that names what config lacks.
func NewDispatcher(config Config) (*Dispatcher, error) {
	if err := required.Fields(config); err != nil {
		return nil, err
	}
	return &Dispatcher{Config: config, coalescers: map[string]*coalescer{}}, nil
}

// Dispatch puts what is next of ctx's tenant into the queue, as far as there
// is room in its window. Call it after whatever makes room or adds tasks. It
// does not fail: what it could not do the sweep does. A round that is slow goes
// on when Dispatch has returned.
func (d *Dispatcher) Dispatch(ctx context.Context) {
	id, err := tenant.From(ctx)
	if err != nil {
		d.Log.ErrorContext(ctx, "nothing dispatched", "error", err)
		return
	}
	t := d.acquireCoalescer(id)
	mine := t.requested.Add(1)
	done := make(chan struct{})
	goroutine.Go(d.Log, "dispatch", func() {
		defer close(done)
		defer d.releaseCoalescer(id, t)
		t.slot <- struct{}{}
		defer func() { <-t.slot }()
		if mine <= t.served {
			return
		}
		all := t.requested.Load()
		d.runRound(context.WithoutCancel(ctx)) // others rely on it too
		t.served = all
	})
	timer := time.NewTimer(callerTimeout)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

// acquireCoalescer returns the turns of a tenant, until leave.
func (d *Dispatcher) acquireCoalescer(id string) *coalescer {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.coalescers[id]
	if t == nil {
		t = &coalescer{slot: make(chan struct{}, 1)}
		d.coalescers[id] = t
	}
	t.refs++
	return t
}

// releaseCoalescer forgets the turns of a tenant when nobody needs them.
func (d *Dispatcher) releaseCoalescer(id string, t *coalescer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if t.refs--; t.refs == 0 {
		delete(d.coalescers, id)
	}
}

// runRound dispatches tasks of every kind.
func (d *Dispatcher) runRound(ctx context.Context) {
	if err := d.dispatchTasks(ctx); err != nil {
		d.logFailure(ctx, err)
	} else if d.outageLogged.CompareAndSwap(true, false) {
		d.Log.InfoContext(ctx, "tasks are dispatched again")
	}
}

// dispatchTasks is a round. While the queue cannot be reached no task is counted as
// dispatched.
func (d *Dispatcher) dispatchTasks(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, roundTimeout)
	defer cancel()
	windows := map[task.Kind]int{}
	for _, kind := range task.Kinds {
		capacity, err := d.Queue.Capacity(ctx, kind)
		if err != nil {
			return err
		}
		windows[kind] = windowSize(capacity)
	}
	dispatches, err := d.Store.Dispatch(ctx, windows)
	if err != nil || len(dispatches) == 0 {
		return err
	}
	return d.Queue.Enqueue(ctx, dispatches...)
}

// windowSize returns how many tasks of a tenant may be in the queue: those that
// workers can be at, and half as many again, so that the next one is there when
// one is done. One is there also when no worker is, for the first to come.
func windowSize(capacity int) int { return max((3*capacity+1)/2, 1) }

// logFailure logs what kept tasks from being dispatched: what is unavailable only
// once, for it is met at every turn until it is back.
func (d *Dispatcher) logFailure(ctx context.Context, err error) {
	level := slog.LevelWarn
	if fault.Is(err, fault.Unavailable) && !d.outageLogged.CompareAndSwap(false, true) {
		level = slog.LevelDebug
	}
	d.Log.Log(ctx, level, "tasks not dispatched; the sweep will dispatch them", "error", err)
}
