package sweep_test

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/garbage"
	"github.com/seed-7a112592/gristmill/internal/pipeline/sweep"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
)

// fakeBackend is a database, an object store and a queue, with a journal of what
// was done to them.
type fakeBackend struct {
	mu       sync.Mutex // over what a running sweep and a test both touch
	tenants  []string
	due      map[string][]task.Dispatch
	garbage  map[string][]garbage.Entry
	uploads  int // that came to nothing
	sections int
	keys     int  // that have expired
	ended    int  // deliveries, long ago
	busy     bool // another process is sweeping
	lost     bool // the queue's data is gone

	journal   []string
	ages      garbage.MinAges
	quiet     []time.Duration
	grace     []time.Duration
	queued    []task.Dispatch
	filled    []string // tenants
	looked    int      // for what was abandoned
	queueErr  error
	deleteErr map[string]error // by object; "" for all

	deleteTime time.Duration // that deleting an object takes
	searchTime time.Duration // and a slice of a search
	searched   int
	found      garbage.ScanCounts
	postponed  map[int64]time.Time
	delays     map[int64][]time.Duration
	collectErr map[int64]error
	parts      map[int64]int // calls that it takes to collect an entry
}

func (m *fakeBackend) TenantsWithGarbage(_ context.Context, ages garbage.MinAges) ([]string, error) {
	m.ages = ages
	return m.tenants, nil
}

func (m *fakeBackend) TenantsWithWork(context.Context) ([]string, error) { return m.tenants, nil }
func (m *fakeBackend) Backlog(context.Context) (task.Backlog, error) {
	return task.Backlog{}, nil
}

func (m *fakeBackend) RedispatchOverdue(ctx context.Context, quiet time.Duration, limit int) ([]task.Dispatch, error) {
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

func (m *fakeBackend) Garbage(ctx context.Context, ahead time.Duration, limit int) ([]garbage.Entry, error) {
	id, err := tenant.From(ctx)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var due []garbage.Entry
	for _, g := range m.garbage[id] {
		if !time.Now().Before(m.postponed[g.ID]) && len(due) < limit {
			due = append(due, g)
		}
	}
	return due, nil
}

func (m *fakeBackend) CollectGarbage(ctx context.Context, g garbage.Entry, _ time.Duration, _ int) (bool, error) {
	m.mu.Lock()
	err := m.collectErr[g.ID]
	m.parts[g.ID]--
	more := m.parts[g.ID] > 0
	m.mu.Unlock()
	if err != nil || more {
		return more, err
	}
	m.record("collect " + g.String())
	return false, m.DeleteGarbageEntries(ctx, g)
}

func (m *fakeBackend) DeleteGarbageEntries(ctx context.Context, entries ...garbage.Entry) error {
	id, err := tenant.From(ctx)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, g := range entries {
		m.garbage[id] = slices.DeleteFunc(m.garbage[id], func(other garbage.Entry) bool { return other.ID == g.ID })
	}
	return nil
}

func (m *fakeBackend) PostponeGarbage(ctx context.Context, g garbage.Entry, delay time.Duration) error {
	id, err := tenant.From(ctx)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.postponed[g.ID] = time.Now().Add(delay)
	m.delays[g.ID] = append(m.delays[g.ID], delay)
	g.Tries++
	for i, other := range m.garbage[id] {
		if other.ID == g.ID {
			m.garbage[id][i] = g
		}
	}
	return nil
}

// ScanForGarbage has a hundred slices to look through, and finds what was set.
func (m *fakeBackend) ScanForGarbage(_ context.Context, from garbage.ScanCursor, _ int) (garbage.ScanCursor, garbage.ScanCounts, error) {
	<-time.After(m.searchTime) // of the bubble's clock
	m.mu.Lock()
	defer m.mu.Unlock()
	m.searched++
	from.Version++
	found := m.found
	m.found = garbage.ScanCounts{}
	if from.Version == 100 {
		from = garbage.ScanCursor{Stage: garbage.ScanEnded}
	}
	return from, found, nil
}

func (m *fakeBackend) ExpireUploads(_ context.Context, quiet time.Duration, limit int) (int, error) {
	m.grace = append(m.grace, quiet)
	n := min(limit, m.uploads)
	m.uploads -= n
	return n, nil
}

func (m *fakeBackend) DeleteUnusedSectionSummaries(_ context.Context, quiet time.Duration, limit int) (int, error) {
	m.grace = append(m.grace, quiet)
	n := min(limit, m.sections)
	m.sections -= n
	return n, nil
}

func (m *fakeBackend) DeleteExpiredIdempotencyKeys(_ context.Context, _ time.Duration, limit int) (int, error) {
	n := min(limit, m.keys)
	m.keys -= n
	return n, nil
}

func (m *fakeBackend) DeleteEndedDeliveries(_ context.Context, age time.Duration, limit int) (int, error) {
	if age < 24*time.Hour {
		return 0, errors.New("a day's deliveries can be asked for")
	}
	n := min(limit, m.ended)
	m.ended -= n
	return n, nil
}

func (m *fakeBackend) TryWithLock(ctx context.Context, _ string, fn func(context.Context) error) error {
	if m.busy {
		return nil
	}
	return fn(ctx)
}

func (m *fakeBackend) Delete(ctx context.Context, name string) error {
	select {
	case <-time.After(m.deleteTime): // of the bubble's clock
	case <-ctx.Done():
		return ctx.Err()
	}
	m.mu.Lock()
	err := cmp.Or(m.deleteErr[name], m.deleteErr[""])
	m.mu.Unlock()
	if err != nil {
		return err
	}
	m.record("delete " + name)
	return nil
}

func (m *fakeBackend) record(what string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.journal = append(m.journal, what)
}

func (m *fakeBackend) Enqueue(_ context.Context, dispatches ...task.Dispatch) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.queueErr != nil {
		return m.queueErr
	}
	m.queued = append(m.queued, dispatches...)
	return nil
}

func (m *fakeBackend) RequeueAbandoned(context.Context) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.looked++
	return 0, m.queueErr
}

func (m *fakeBackend) DataLost(context.Context) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.lost, m.queueErr
}

func (m *fakeBackend) MarkFilled(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lost = false
	return m.queueErr
}

func (m *fakeBackend) Dispatch(ctx context.Context) {
	id, _ := tenant.From(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.filled = append(m.filled, id)
}

// takeQuietTimes returns the quiet times that Due was asked with since the last call.
func (m *fakeBackend) takeQuietTimes() []time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	quiet := m.quiet
	m.quiet = nil
	return quiet
}

func (m *fakeBackend) loseQueueData() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lost = true
}

func (m *fakeBackend) breakQueue(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.queueErr = err
}

func newSweeper(t *testing.T) (*sweep.Sweeper, *fakeBackend) {
	t.Helper()
	m := newFakeBackend()
	return &sweep.Sweeper{Store: m, Queue: m, Dispatcher: m, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}, m
}

func newFakeBackend() *fakeBackend {
	return &fakeBackend{
		tenants: []string{"a", "b"}, due: map[string][]task.Dispatch{}, garbage: map[string][]garbage.Entry{},
		deleteErr: map[string]error{}, collectErr: map[int64]error{},
		postponed: map[int64]time.Time{}, delays: map[int64][]time.Duration{}, parts: map[int64]int{},
	}
}

func TestOneSweepsAtATime(t *testing.T) {
	t.Parallel()
	sweeper, m := newSweeper(t)
	m.due["a"], m.busy = newDispatches("a", 1), true
	if err := sweeper.Sweep(t.Context(), time.Minute); err != nil || len(m.queued)+len(m.filled) != 0 {
		t.Errorf("swept beside another: %v", err)
	}
}
