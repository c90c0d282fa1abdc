package sweep_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/task"
)

func newDispatches(tenant string, n int) []task.Dispatch {
	all := make([]task.Dispatch, n)
	for i := range all {
		all[i] = task.Dispatch{Ref: task.Ref{Tenant: tenant, DocumentID: uuid.New(), Version: 1, Kind: task.KindKnowledge}}
	}
	return all
}

func TestSweepDispatchesOverdueTasksOfEveryTenant(t *testing.T) {
	t.Parallel()
	sweeper, m := newSweeper(t)
	m.due["a"], m.due["b"] = newDispatches("a", 1200), newDispatches("b", 3)
	if err := sweeper.Sweep(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	if len(m.queued) != 1203 {
		t.Errorf("dispatched %d tasks again, want 1203", len(m.queued))
	}
	if want := []string{"a", "b"}; !slices.Equal(m.filled, want) {
		t.Errorf("dispatched new tasks of tenants %q, want %q", m.filled, want)
	}
	if m.requeued != 1 {
		t.Errorf("requeued abandoned tasks %d times, want once", m.requeued)
	}
}

// redispatchAll is the quiet time with which tasks that wait for their next attempt count as lost
// too.
const redispatchAll = -2 * time.Minute

// A single task that the queue has lost is dispatched again within a minute.
func TestLostTasksAreDispatchedWithinAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sweeper, m := newSweeper(t)
		ctx, stop := context.WithCancel(t.Context())
		go sweeper.Run(ctx)
		<-time.After(30 * time.Second) // on the bubble's clock
		synctest.Wait()
		quiet := m.takeQuietTimes()
		if len(quiet) < 4 { // two tenants, at least two rounds
			t.Fatalf("%d rounds in 30 seconds, want at least 2", len(quiet)/2)
		}
		interval := 30 * time.Second / time.Duration(len(quiet)/2)
		if worst := quiet[0] + interval; worst > 45*time.Second {
			t.Errorf("a lost task is dispatched after up to %s, want at most 45s", worst)
		}
		stop()
		synctest.Wait()
	})
}

// After the queue has lost its data or has failed, all tasks count as lost until a sweep succeeds,
// and not longer.
func TestAllTasksCountAsLostUntilTheQueueIsFilled(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(m *fakeBackend){
		"lost": func(m *fakeBackend) { m.loseQueueData() },
		"down": func(m *fakeBackend) { m.breakQueue(errors.New("redis is down")) },
		"both": func(m *fakeBackend) { m.loseQueueData(); m.breakQueue(errors.New("redis is down")) },
	} {
		synctest.Test(t, func(t *testing.T) {
			sweeper, m := newSweeper(t)
			ctx, stop := context.WithCancel(t.Context())
			go sweeper.Run(ctx)
			synctest.Wait()
			next := func() []time.Duration {
				m.takeQuietTimes()
				<-time.After(10 * time.Second) // on the bubble's clock
				synctest.Wait()
				return m.takeQuietTimes()
			}
			if quiet := next(); slices.Contains(quiet, redispatchAll) {
				t.Errorf("%s: all tasks count as lost before the failure", name)
			}
			fail(m)
			broken := next()
			if name == "lost" && !slices.Equal(broken, []time.Duration{redispatchAll, redispatchAll}) { // of two tenants
				t.Errorf("%s: the next sweep has quiet times %s, want %s for both tenants", name, broken, redispatchAll)
			}
			m.breakQueue(nil)
			if quiet := next(); name != "lost" && !slices.Equal(quiet, []time.Duration{redispatchAll, redispatchAll}) {
				t.Errorf("%s: the sweep after a failed one has quiet times %s, want %s for both tenants", name, quiet, redispatchAll)
			}
			if quiet := next(); len(quiet) != 2 || slices.Contains(quiet, redispatchAll) {
				t.Errorf("%s: the sweep after a successful one has quiet times %s, want the usual ones", name, quiet)
			}
			stop()
			synctest.Wait()
		})
	}
}

// The queue is filled however long garbage collection takes, and whatever fails in it. Garbage is
// collected while the queue is down.
func TestFillingAndCollectingAreIndependent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sweeper, m := newSweeper(t)
		collector := newCollector(t, m)
		for i := range 1000 {
			m.garbage["b"] = append(m.garbage["b"], objectEntry(int64(i)))
		}
		m.deleteTime = time.Minute
		ctx, stop := context.WithCancel(t.Context())
		go sweeper.Run(ctx)
		go collector.Run(ctx)
		<-time.After(61 * time.Second) // on the bubble's clock
		synctest.Wait()
		if n := len(m.takeQuietTimes()); n < 2*6 {
			t.Errorf("filled the queues of two tenants %d times in a minute of deletions, want at least 12", n)
		}
		m.breakQueue(fault.New(fault.Unavailable, "redis is down"))
		before := m.garbageLeft("b")
		<-time.After(10 * time.Minute)
		stop()
		synctest.Wait()
		if m.garbageLeft("b") == before {
			t.Error("no garbage was collected while the queue was down")
		}
	})
}
