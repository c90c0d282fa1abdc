// Package dispatch puts tasks into the queue: for each tenant only as many as keep the workers
// busy. So the queue stays short, and a tenant with one document does not wait behind ten
// thousand documents of another tenant.
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

// Store chooses the next tasks; see storetest.Dispatching for the contract.
type Store interface {
	Dispatch(ctx context.Context, windows map[task.Kind]int) ([]task.Dispatch, error)
}

// Queue delivers tasks to workers. Its methods return fault.Unavailable soon when the queue
// cannot be reached.
type Queue interface {
	// Capacity returns how many tasks of the kind all workers together run at a time.
	Capacity(ctx context.Context, kind task.Kind) (int, error)

	// Enqueue adds tasks to the queue. Enqueueing a task twice is harmless.
	Enqueue(ctx context.Context, dispatches ...task.Dispatch) error
}

const (
	// callerTimeout is how long a caller of Dispatch waits for its round.
	callerTimeout = 2 * time.Second

	// roundTimeout bounds a round. It is longer than callerTimeout, so that tasks reach workers
	// even if the store and the queue are slow to answer.
	roundTimeout = 20 * time.Second
)

// Config holds what a dispatcher needs.
type Config struct {
	Store Store
	Queue Queue
	Log   *slog.Logger
}

// Dispatcher fills the queue. It is safe for concurrent use.
type Dispatcher struct {
	Config

	mu           sync.Mutex
	coalescers   map[string]*coalescer // by tenant, while calls for the tenant are under way
	outageLogged atomic.Bool           // the queue is unavailable, and the log says so
}

// coalescer runs the rounds of one tenant one after another. A round also serves all requests
// that arrived before it began, so no caller waits for more than two rounds, whatever the
// number of callers.
type coalescer struct {
	refs      int           // number of calls that use it; guarded by Dispatcher.mu
	requested atomic.Int64  // number of requests so far
	slot      chan struct{} // capacity 1: the caller that fills it runs the next round
	served    int64         // number of requests that rounds have served; guarded by slot
}

// NewDispatcher returns a dispatcher, or an error that names the fields that config lacks.
func NewDispatcher(config Config) (*Dispatcher, error) {
	if err := required.Fields(config); err != nil {
		return nil, err
	}
	return &Dispatcher{Config: config, coalescers: map[string]*coalescer{}}, nil
}

// Dispatch fills the dispatch window of ctx's tenant: it puts the tenant's next tasks into the
// queue while the window has room. Call it after anything that adds tasks or makes room. It
// does not fail: the sweep dispatches what it could not. A slow round goes on after Dispatch
// has returned.
func (d *Dispatcher) Dispatch(ctx context.Context) {
	id, err := tenant.From(ctx)
	if err != nil {
		d.Log.ErrorContext(ctx, "tasks not dispatched: no tenant in the context", "error", err)
		return
	}
	c := d.acquireCoalescer(id)
	request := c.requested.Add(1)
	done := make(chan struct{})
	goroutine.Go(d.Log, "dispatch", func() {
		defer close(done)
		defer d.releaseCoalescer(id, c)
		c.slot <- struct{}{}
		defer func() { <-c.slot }()
		if request <= c.served {
			return
		}
		all := c.requested.Load()
		d.runRound(context.WithoutCancel(ctx)) // other callers rely on it too
		c.served = all
	})
	timer := time.NewTimer(callerTimeout)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

// acquireCoalescer returns the coalescer of a tenant. Callers must release it.
func (d *Dispatcher) acquireCoalescer(id string) *coalescer {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.coalescers[id]
	if c == nil {
		c = &coalescer{slot: make(chan struct{}, 1)}
		d.coalescers[id] = c
	}
	c.refs++
	return c
}

// releaseCoalescer removes the coalescer of a tenant when no call uses it any more.
func (d *Dispatcher) releaseCoalescer(id string, c *coalescer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c.refs--; c.refs == 0 {
		delete(d.coalescers, id)
	}
}

// runRound dispatches tasks of every kind, and logs a failure.
func (d *Dispatcher) runRound(ctx context.Context) {
	if err := d.dispatchTasks(ctx); err != nil {
		d.logFailure(ctx, err)
	} else if d.outageLogged.CompareAndSwap(true, false) {
		d.Log.InfoContext(ctx, "tasks are dispatched again")
	}
}

// dispatchTasks dispatches tasks of every kind. It first asks the queue for its capacity: while
// the queue cannot be reached, the store counts no task as dispatched.
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

// windowSize returns how many tasks of a tenant may be in the queue: as many as workers can run,
// and half as many again, so that a worker finds the next task when it has finished one. It is
// at least 1, so that a task waits for the first worker that starts.
func windowSize(capacity int) int { return max((3*capacity+1)/2, 1) }

// logFailure logs why tasks were not dispatched. It warns only once of an outage, because every
// round fails until the queue is back.
func (d *Dispatcher) logFailure(ctx context.Context, err error) {
	level := slog.LevelWarn
	if fault.Is(err, fault.Unavailable) && !d.outageLogged.CompareAndSwap(false, true) {
		level = slog.LevelDebug
	}
	d.Log.Log(ctx, level, "tasks not dispatched; the sweep will dispatch them", "error", err)
}
