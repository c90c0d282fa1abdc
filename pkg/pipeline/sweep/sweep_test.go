package sweep_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/pipeline/sweep"
	"github.com/seed-7a112592/gristmill/pkg/tenant"
)

// memory is a database, an object store and a queue, with a journal of what
// was done to them.
type memory struct {
	mu       sync.Mutex // over what a running sweep and a test both touch
	tenants  []string
	due      map[string][]document.Dispatch
	remains  map[string][]document.Remains
	uploads  map[string][]string // that came to nothing, by object
	orphans  int
	sections int
	keys     int  // that have expired
	ended    int  // deliveries, long ago
	spaces   int  // things in spaces whose time is over
	busy     bool // another process is sweeping
	lost     bool // the queue's data is gone

	journal   []string
	quiet     []time.Duration
	grace     []time.Duration
	queued    []document.Dispatch
	filled    []string // tenants
	queueErr  error
	deleteErr error

	deleteTime time.Duration // that deleting an object takes
}

func (m *memory) Tenants(context.Context) ([]string, error) { return m.tenants, nil }

func (m *memory) Due(ctx context.Context, quiet time.Duration, limit int) ([]document.Dispatch, error) {
	id, err := tenant.From(ctx)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.quiet = append(m.quiet, quiet)
	n := min(limit, len(m.due[id]))
	due := m.due[id][:n]
	m.due[id] = m.due[id][n:]
	return due, nil
}

func (m *memory) Remains(ctx context.Context, _ time.Duration, limit int) ([]document.Remains, error) {
	id, err := tenant.From(ctx)
	if err != nil {
		return nil, err
	}
	return slices.Clone(m.remains[id][:min(limit, len(m.remains[id]))]), nil
}

func (m *memory) Forget(ctx context.Context, r document.Remains) error {
	id, err := tenant.From(ctx)
	if err != nil {
		return err
	}
	m.journal = append(m.journal, "forget "+r.Object)
	m.remains[id] = slices.DeleteFunc(m.remains[id], func(other document.Remains) bool { return other == r })
	return nil
}

func (m *memory) Abandoned(ctx context.Context, quiet time.Duration, limit int) ([]string, error) {
	id, err := tenant.From(ctx)
	if err != nil {
		return nil, err
	}
	m.grace = append(m.grace, quiet)
	return slices.Clone(m.uploads[id][:min(limit, len(m.uploads[id]))]), nil
}

func (m *memory) EndUpload(ctx context.Context, object string) error {
	id, err := tenant.From(ctx)
	if err != nil {
		return err
	}
	m.journal = append(m.journal, "end "+object)
	m.uploads[id] = slices.DeleteFunc(m.uploads[id], func(other string) bool { return other == object })
	return nil
}

func (m *memory) DropOrphans(_ context.Context, quiet time.Duration, limit int) (int, error) {
	m.grace = append(m.grace, quiet)
	n := min(limit, m.orphans)
	m.orphans -= n
	return n, nil
}

func (m *memory) DropSections(_ context.Context, quiet time.Duration, limit int) (int, error) {
	m.grace = append(m.grace, quiet)
	n := min(limit, m.sections)
	m.sections -= n
	return n, nil
}

func (m *memory) DropSpaces(_ context.Context, limit int) (int, error) {
	n := min(limit, m.spaces)
	m.spaces -= n
	return n, nil
}

func (m *memory) DropIdempotencyKeys(_ context.Context, _ time.Duration, limit int) (int, error) {
	n := min(limit, m.keys)
	m.keys -= n
	return n, nil
}

func (m *memory) DropDeliveries(_ context.Context, age time.Duration, limit int) (int, error) {
	if age < 24*time.Hour {
		return 0, errors.New("a day's deliveries can be asked for")
	}
	n := min(limit, m.ended)
	m.ended -= n
	return n, nil
}

func (m *memory) Exclusively(ctx context.Context, _ string, fn func(context.Context) error) error {
	if m.busy {
		return nil
	}
	return fn(ctx)
}

func (m *memory) Delete(_ context.Context, name string) error {
	<-time.After(m.deleteTime) // of the bubble's clock
	if m.deleteErr != nil {
		return m.deleteErr
	}
	m.journal = append(m.journal, "delete "+name)
	return nil
}

func (m *memory) Enqueue(_ context.Context, dispatches ...document.Dispatch) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.queueErr != nil {
		return m.queueErr
	}
	m.queued = append(m.queued, dispatches...)
	return nil
}

func (m *memory) Lost(context.Context) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.lost, m.queueErr
}

func (m *memory) Filled(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lost = false
	return m.queueErr
}

func (m *memory) Dispatch(ctx context.Context) {
	id, _ := tenant.From(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.filled = append(m.filled, id)
}

// asked returns the quiet times that Due was asked with since the last call.
func (m *memory) asked() []time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	quiet := m.quiet
	m.quiet = nil
	return quiet
}

func (m *memory) lose() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lost = true
}

func (m *memory) breakQueue(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.queueErr = err
}

func newSweeper(t *testing.T) (*sweep.Sweeper, *memory) {
	t.Helper()
	m := &memory{tenants: []string{"a", "b"}, due: map[string][]document.Dispatch{}, remains: map[string][]document.Remains{}, uploads: map[string][]string{}}
	return &sweep.Sweeper{Store: m, Objects: m, Queue: m, Dispatcher: m, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Grace: time.Hour}, m
}

func TestOneSweepsAtATime(t *testing.T) {
	t.Parallel()
	sweeper, m := newSweeper(t)
	m.due["a"], m.busy = dispatches("a", 1), true
	if err := sweeper.Sweep(t.Context(), time.Minute); err != nil || len(m.queued)+len(m.filled) != 0 {
		t.Errorf("swept beside another: %v", err)
	}
}
