package sweep_test

import (
	"cmp"
	"context"
	"fmt"
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

// fakeBackend is a store, an object store, a queue and a dispatcher. It records what was done to
// them.
type fakeBackend struct {
	mu       sync.Mutex // guards what a running sweep and a test both use
	tenants  []string
	due      map[string][]task.Dispatch
	garbage  map[string][]garbage.Entry
	uploads  int  // number of expired uploads
	sections int  // number of unused section summaries
	keys     int  // number of expired idempotency keys
	ended    int  // number of old deliveries
	busy     bool // another process holds the lock
	lost     bool // the queue has lost its data

	journal   []string
	ages      garbage.MinAges
	quiet     []time.Duration
	grace     []time.Duration
	queued    []task.Dispatch
	filled    []string // tenants for which Dispatch was called
	requeued  int      // number of calls of RequeueAbandoned
	queueErr  error
	deleteErr map[string]error // by object; "" for all

	deleteTime time.Duration // time to delete an object
	scanTime   time.Duration // time to scan one part
	scanned    int           // number of scanned parts
	found      garbage.ScanCounts
	postponed  map[int64]time.Time
	delays     map[int64][]time.Duration
	collectErr map[int64]error
	parts      map[int64]int // number of calls that it takes to collect an entry
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

// ScanForGarbage has a hundred parts to scan. It returns m.found once.
func (m *fakeBackend) ScanForGarbage(_ context.Context, from garbage.ScanCursor, _ int) (garbage.ScanCursor, garbage.ScanCounts, error) {
	<-time.After(m.scanTime) // on the bubble's clock
	m.mu.Lock()
	defer m.mu.Unlock()
	m.scanned++
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
		return 0, fmt.Errorf("deletes deliveries after %s, want to keep them for at least a day", age)
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
	case <-time.After(m.deleteTime): // on the bubble's clock
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
	m.requeued++
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

// takeQuietTimes returns the quiet times of the calls of RedispatchOverdue since the last time.
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
	s, err := sweep.NewSweeper(sweep.SweeperConfig{Store: m, Queue: m, Dispatcher: m, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	return s, m
}

func newFakeBackend() *fakeBackend {
	return &fakeBackend{
		tenants: []string{"a", "b"}, due: map[string][]task.Dispatch{}, garbage: map[string][]garbage.Entry{},
		deleteErr: map[string]error{}, collectErr: map[int64]error{},
		postponed: map[int64]time.Time{}, delays: map[int64][]time.Duration{}, parts: map[int64]int{},
	}
}

func TestOneProcessSweepsAtATime(t *testing.T) {
	t.Parallel()
	sweeper, m := newSweeper(t)
	m.due["a"], m.busy = newDispatches("a", 1), true
	if err := sweeper.Sweep(t.Context(), time.Minute); err != nil || len(m.queued)+len(m.filled) != 0 {
		t.Errorf("swept while another process held the lock: %v", err)
	}
}
