package sweep_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/pipeline/sweep"
	"github.com/seed-7a112592/gristmill/pkg/tenant"
)

// memory is a database, an object store and a queue, with a journal of what
// was done to them.
type memory struct {
	mu      sync.Mutex // over what a running sweep and a test both touch
	tenants []string
	due     map[string][]document.Dispatch
	remains map[string][]document.Remains
	uploads map[string][]string // that came to nothing, by object
	orphans int
	keys    int  // that have expired
	ended   int  // deliveries, long ago
	busy    bool // another process is sweeping

	journal   []string
	quiet     []time.Duration
	grace     []time.Duration
	queued    []document.Dispatch
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

func (m *memory) Enqueue(_ context.Context, tasks ...document.Dispatch) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.queueErr != nil {
		return m.queueErr
	}
	m.queued = append(m.queued, tasks...)
	return nil
}

// asked returns the quiet times that Due was asked with since the last call.
func (m *memory) asked() []time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	quiet := m.quiet
	m.quiet = nil
	return quiet
}

func (m *memory) breakQueue(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.queueErr = err
}

func newSweeper(t *testing.T) (*sweep.Sweeper, *memory) {
	t.Helper()
	m := &memory{tenants: []string{"a", "b"}, due: map[string][]document.Dispatch{}, remains: map[string][]document.Remains{}, uploads: map[string][]string{}}
	return &sweep.Sweeper{Store: m, Objects: m, Queue: m, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Grace: time.Hour}, m
}

func refs(owner string, n int) []document.Dispatch {
	tasks := make([]document.Dispatch, n)
	for i := range tasks {
		tasks[i] = document.Dispatch{TaskRef: document.TaskRef{Tenant: owner, Document: uuid.New(), Version: 1, Kind: document.Knowledge}}
	}
	return tasks
}

func TestSweepDispatchesWhatIsDueOfEveryTenant(t *testing.T) {
	t.Parallel()
	sweeper, m := newSweeper(t)
	m.due["a"], m.due["b"] = refs("a", 1200), refs("b", 3)
	if err := sweeper.Sweep(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	if len(m.queued) != 1203 {
		t.Errorf("dispatched %d tasks, want 1203", len(m.queued))
	}
}

func TestOneSweepsAtATime(t *testing.T) {
	t.Parallel()
	sweeper, m := newSweeper(t)
	m.due["a"], m.busy = refs("a", 1), true
	if err := sweeper.Sweep(t.Context(), time.Minute); err != nil || len(m.queued) != 0 {
		t.Errorf("swept beside another: %v", err)
	}
}

// A queue that was lost is refilled within a minute, and at once after a
// restart of everything.
func TestLostTasksAreDispatchedWithinAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sweeper, m := newSweeper(t)
		ctx, stop := context.WithCancel(t.Context())
		go sweeper.Run(ctx, true)
		synctest.Wait()
		if first := m.asked(); first[0] != 0 {
			t.Errorf("after a restart tasks count as lost after %s, want at once", first[0])
		}
		<-time.After(30 * time.Second) // of the bubble's clock
		synctest.Wait()
		quiet := m.asked()
		if len(quiet) < 4 { // two tenants, at least two rounds
			t.Fatalf("%d rounds in 30 seconds", len(quiet)/2)
		}
		interval := 30 * time.Second / time.Duration(len(quiet)/2)
		if worst := quiet[0] + interval; worst > time.Minute {
			t.Errorf("a lost task is dispatched after up to %s, want at most a minute", worst)
		}
		stop()
		synctest.Wait()
	})
}

// After a restart, everything stays due until a sweep has got through.
func TestRestartIsRememberedUntilASweepSucceeds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sweeper, m := newSweeper(t)
		m.due["a"] = refs("a", 1)
		m.breakQueue(errors.New("redis is down"))
		ctx, stop := context.WithCancel(t.Context())
		go sweeper.Run(ctx, true)
		synctest.Wait()
		m.breakQueue(nil)
		m.asked()
		<-time.After(11 * time.Second) // of the bubble's clock
		synctest.Wait()
		if quiet := m.asked(); len(quiet) == 0 || quiet[0] != 0 {
			t.Errorf("the round after a failed one asked for %v", quiet)
		}
		stop()
		synctest.Wait()
	})
}
