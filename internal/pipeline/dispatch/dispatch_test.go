package dispatch_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/pipeline/dispatch"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/internal/test/await"
)

// fakeBackend is a store and a queue. The store returns one task of each kind.
type fakeBackend struct {
	mu       sync.Mutex
	capacity map[task.Kind]int
	windows  []map[task.Kind]int // arguments of the calls of Dispatch
	queued   []task.Dispatch

	capacityErr, storeErr, enqueueErr error

	begun, goOn chan struct{} // if set, Dispatch sends on begun and then waits for goOn
}

func (m *fakeBackend) Capacity(_ context.Context, kind task.Kind) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.capacity[kind], m.capacityErr
}

func (m *fakeBackend) Dispatch(ctx context.Context, windows map[task.Kind]int) (dispatched []task.Dispatch, err error) {
	if m.begun != nil {
		m.begun <- struct{}{}
		<-m.goOn
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	id, err := tenant.From(ctx)
	if err != nil {
		return nil, err
	}
	m.windows = append(m.windows, windows)
	for _, kind := range task.Kinds {
		dispatched = append(dispatched, task.Dispatch{Ref: task.Ref{Tenant: id, DocumentID: uuid.New(), Version: 1, Kind: kind}})
	}
	return dispatched, m.storeErr
}

func (m *fakeBackend) Enqueue(_ context.Context, dispatches ...task.Dispatch) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.queued = append(m.queued, dispatches...)
	return m.enqueueErr
}

// storeCalls returns the number of calls of the store.
func (m *fakeBackend) storeCalls() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.windows)
}

func newDispatcher(t *testing.T, log *await.LogBuffer) (*dispatch.Dispatcher, *fakeBackend) {
	t.Helper()
	m := &fakeBackend{capacity: map[task.Kind]int{}}
	handler := slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})
	d, err := dispatch.NewDispatcher(dispatch.Config{Store: m, Queue: m, Log: slog.New(handler)})
	if err != nil {
		t.Fatal(err)
	}
	return d, m
}

func tenantContext(t *testing.T, id string) context.Context { return tenant.With(t.Context(), id) }

func TestWindowFollowsCapacity(t *testing.T) {
	t.Parallel()
	for capacity, window := range map[int]int{0: 1, 1: 2, 2: 3, 16: 24, 33: 50} {
		d, m := newDispatcher(t, new(await.LogBuffer))
		m.capacity = map[task.Kind]int{task.KindKnowledge: capacity, task.KindSummary: 4}
		d.Dispatch(tenantContext(t, "acme"))
		want := map[task.Kind]int{task.KindKnowledge: window, task.KindSummary: 6, task.KindReindex: 1}
		if diff := cmp.Diff([]map[task.Kind]int{want}, m.windows); diff != "" {
			t.Errorf("capacity %d: windows (-want +got):\n%s", capacity, diff)
		}
		if len(m.queued) != len(task.Kinds) || m.queued[0].Tenant != "acme" || m.queued[0].Kind != task.KindKnowledge {
			t.Errorf("enqueued %v, want the tasks of the store", m.queued)
		}
	}
}

// A task that counts as dispatched but is not in the queue would wait for the sweep.
func TestNothingIsDispatchedWhileTheQueueIsUnavailable(t *testing.T) {
	t.Parallel()
	d, m := newDispatcher(t, new(await.LogBuffer))
	m.capacityErr = fault.New(fault.Unavailable, "redis is down")
	d.Dispatch(tenantContext(t, "acme"))
	if m.storeCalls() != 0 {
		t.Error("the store counted tasks as dispatched")
	}
}

func TestOutageIsLoggedOnce(t *testing.T) {
	t.Parallel()
	var log await.LogBuffer
	d, m := newDispatcher(t, &log)
	m.enqueueErr = fault.New(fault.Unavailable, "redis is down")
	for range 3 {
		d.Dispatch(tenantContext(t, "acme"))
	}
	if n := strings.Count(log.String(), "level=WARN"); n != 1 {
		t.Errorf("%d warnings about one outage, want 1:\n%s", n, log.String())
	}
	m.enqueueErr = nil
	for range 2 {
		d.Dispatch(tenantContext(t, "acme"))
	}
	if n := strings.Count(log.String(), "again"); n != 1 {
		t.Errorf("the end of the outage is logged %d times, want once:\n%s", n, log.String())
	}
	m.enqueueErr = fault.New(fault.Unavailable, "redis is down")
	d.Dispatch(tenantContext(t, "acme"))
	if n := strings.Count(log.String(), "level=WARN"); n != 2 {
		t.Errorf("%d warnings about two outages, want 2:\n%s", n, log.String())
	}
}

func TestDispatchIgnoresCancellation(t *testing.T) {
	t.Parallel()
	d, m := newDispatcher(t, new(await.LogBuffer))
	ctx, cancel := context.WithCancel(tenantContext(t, "acme"))
	cancel()
	d.Dispatch(ctx)
	if len(m.queued) != len(task.Kinds) {
		t.Errorf("enqueued %v after the caller's context ended, want a task of each kind", m.queued)
	}
}

// Dispatch waits for a slow round only for a while. The round then completes.
func TestSlowRoundGoesOnWithoutTheCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, m := newDispatcher(t, new(await.LogBuffer))
		m.begun, m.goOn = make(chan struct{}, 1), make(chan struct{})
		began := time.Now()
		d.Dispatch(tenantContext(t, "acme"))
		if took := time.Since(began); took > 2*time.Second || m.storeCalls() != 0 {
			t.Errorf("returned after %s with %d calls of the store, want at most 2s and none", took, m.storeCalls())
		}
		<-time.After(3 * time.Second) // on the bubble's clock
		m.goOn <- struct{}{}
		synctest.Wait()
		if len(m.queued) != len(task.Kinds) {
			t.Errorf("enqueued %v, want a task of each kind", m.queued)
		}
	})
}

func TestDispatchNeedsATenant(t *testing.T) {
	t.Parallel()
	var log await.LogBuffer
	d, m := newDispatcher(t, &log)
	d.Dispatch(t.Context())
	if m.storeCalls() != 0 || !strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("dispatched without a tenant, or logged no error:\n%s", log.String())
	}
}

// One more round serves all requests that arrive during a round, because it begins after all of
// them.
func TestConcurrentRequestsShareARound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, m := newDispatcher(t, new(await.LogBuffer))
		m.begun, m.goOn = make(chan struct{}), make(chan struct{})
		var group sync.WaitGroup
		dispatch := func(id string) { group.Go(func() { d.Dispatch(tenantContext(t, id)) }) }
		dispatch("acme")
		<-m.begun
		for range 100 {
			dispatch("acme")
		}
		synctest.Wait()
		dispatch("other") // does not wait for the rounds of acme
		<-m.begun
		go func() {
			for range m.begun {
				m.goOn <- struct{}{}
			}
		}()
		m.goOn <- struct{}{}
		m.goOn <- struct{}{}
		group.Wait()
		close(m.begun)
		rounds := map[string]int{}
		for _, q := range m.queued {
			rounds[q.Tenant]++
		}
		if diff := cmp.Diff(map[string]int{"acme": 2 * len(task.Kinds), "other": len(task.Kinds)}, rounds); diff != "" {
			t.Errorf("tasks of all kinds by tenant (-want +got):\n%s", diff)
		}
	})
}
