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

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
	"github.com/seed-7a112592/gristmill/pkg/goroutine"
	"github.com/seed-7a112592/gristmill/pkg/tenant"
)

// Store says what is next; see storetest.Dispatching for the contract.
type Store interface {
	Dispatch(ctx context.Context, windows map[document.TaskKind]int) ([]document.Dispatch, error)
}

// Queue takes tasks to workers. When it cannot be reached it says
// fault.Unavailable soon.
type Queue interface {
	// Capacity returns how many tasks of the kind are worked at at a time, by
	// all workers together.
	Capacity(ctx context.Context, kind document.TaskKind) (int, error)

	// Enqueue has the tasks delivered. Enqueueing one twice is harmless.
	Enqueue(ctx context.Context, dispatches ...document.Dispatch) error
}

const (
	// patience is how long callers wait for a round.
	patience = 2 * time.Second

	// roundTimeout bounds a round. It is longer than patience, so that tasks get
	// to workers also when every answer of the store and the queue is slow.
	roundTimeout = 20 * time.Second
)

// Dispatcher dispatches. It is safe for concurrent use.
type Dispatcher struct {
	Store Store
	Queue Queue
	Log   *slog.Logger

	mu    sync.Mutex
	turns map[string]*turns // of tenants that somebody asks for
	away  atomic.Bool       // the queue, and that was logged
}

// turns lets the rounds for one tenant follow each other. A round also does
// what was asked for while it was waited for: however many ask, none waits for
// more than two rounds.
type turns struct {
	users int // who hold it, under the dispatcher's lock
	asked atomic.Int64
	turn  chan struct{} // of one: held by the caller whose turn it is
	done  int64         // of those who asked; theirs whose turn it is
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
	t := d.join(id)
	mine := t.asked.Add(1)
	done := make(chan struct{})
	goroutine.Go(d.Log, "dispatch", func() {
		defer close(done)
		defer d.leave(id, t)
		t.turn <- struct{}{}
		defer func() { <-t.turn }()
		if mine <= t.done {
			return
		}
		all := t.asked.Load()
		d.round(context.WithoutCancel(ctx)) // others rely on it too
		t.done = all
	})
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

// join returns the turns of a tenant, until leave.
func (d *Dispatcher) join(id string) *turns {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.turns == nil {
		d.turns = map[string]*turns{}
	}
	t := d.turns[id]
	if t == nil {
		t = &turns{turn: make(chan struct{}, 1)}
		d.turns[id] = t
	}
	t.users++
	return t
}

// leave forgets the turns of a tenant when nobody needs them.
func (d *Dispatcher) leave(id string, t *turns) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if t.users--; t.users == 0 {
		delete(d.turns, id)
	}
}

// round dispatches tasks of every kind.
func (d *Dispatcher) round(ctx context.Context) {
	if err := d.dispatch(ctx); err != nil {
		d.complain(ctx, err)
	} else if d.away.CompareAndSwap(true, false) {
		d.Log.InfoContext(ctx, "tasks are dispatched again")
	}
}

// dispatch is a round. While the queue cannot be reached no task is counted as
// dispatched.
func (d *Dispatcher) dispatch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, roundTimeout)
	defer cancel()
	windows := map[document.TaskKind]int{}
	for _, kind := range document.Queues {
		capacity, err := d.Queue.Capacity(ctx, kind)
		if err != nil {
			return err
		}
		windows[kind] = window(capacity)
	}
	dispatches, err := d.Store.Dispatch(ctx, windows)
	if err != nil || len(dispatches) == 0 {
		return err
	}
	return d.Queue.Enqueue(ctx, dispatches...)
}

// window returns how many tasks of a tenant may be in the queue: those that
// workers can be at, and half as many again, so that the next one is there when
// one is done. One is there also when no worker is, for the first to come.
func window(capacity int) int { return max((3*capacity+1)/2, 1) }

// complain logs what kept tasks from being dispatched: what is unavailable only
// once, for it is met at every turn until it is back.
func (d *Dispatcher) complain(ctx context.Context, err error) {
	level := slog.LevelWarn
	if fault.Is(err, fault.Unavailable) && !d.away.CompareAndSwap(false, true) {
		level = slog.LevelDebug
	}
	d.Log.Log(ctx, level, "tasks not dispatched; the sweep will dispatch them", "error", err)
}
