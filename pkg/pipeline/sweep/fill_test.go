package sweep_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
)

func dispatches(owner string, n int) []document.Dispatch {
	all := make([]document.Dispatch, n)
	for i := range all {
		all[i] = document.Dispatch{TaskRef: document.TaskRef{Tenant: owner, Document: uuid.New(), Version: 1, Kind: document.Knowledge}}
	}
	return all
}

func TestSweepDispatchesWhatIsDueOfEveryTenant(t *testing.T) {
	t.Parallel()
	sweeper, m := newSweeper(t)
	m.due["a"], m.due["b"] = dispatches("a", 1200), dispatches("b", 3)
	if err := sweeper.Sweep(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	if len(m.queued) != 1203 {
		t.Errorf("dispatched %d tasks again, want 1203", len(m.queued))
	}
	if want := []string{"a", "b"}; !slices.Equal(m.filled, want) {
		t.Errorf("filled the windows of %q, want of %q", m.filled, want)
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
		if worst := quiet[0] + interval; worst > 45*time.Second {
			t.Errorf("a lost task is dispatched after up to %s, want well within a minute", worst)
		}
		stop()
		synctest.Wait()
	})
}

// After a restart, and after the queue has failed, everything counts as lost
// until a sweep has got through, and no longer.
func TestAllCountsAsLostUntilTheQueueIsFilled(t *testing.T) {
	t.Parallel()
	for _, restarted := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			sweeper, m := newSweeper(t)
			m.due["a"] = dispatches("a", 1)
			m.breakQueue(errors.New("redis is down"))
			ctx, stop := context.WithCancel(t.Context())
			go sweeper.Run(ctx, restarted)
			synctest.Wait()
			next := func() time.Duration {
				m.asked()
				<-time.After(10 * time.Second) // of the bubble's clock
				synctest.Wait()
				quiet := m.asked()
				if len(quiet) == 0 {
					t.Fatal("no sweep in 10 seconds")
				}
				return quiet[0]
			}
			m.breakQueue(nil)
			if quiet := next(); quiet != 0 {
				t.Errorf("restarted %t: the sweep after a failed one takes what was dispatched %s ago for lost, want all", restarted, quiet)
			}
			if quiet := next(); quiet == 0 {
				t.Errorf("restarted %t: takes all for lost after a sweep that got through", restarted)
			}
			stop()
			synctest.Wait()
		})
	}
}

// What cannot be removed is no reason to dispatch everything again, nor a queue
// that is down one to remove nothing.
func TestFillingAndRemovingDoNotDependOnEachOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sweeper, m := newSweeper(t)
		m.remains["b"] = []document.Remains{{Version: 1, Object: "b/1"}}
		m.deleteErr = fault.New(fault.Unavailable, "object storage is down")
		ctx, stop := context.WithCancel(t.Context())
		go sweeper.Run(ctx, false)
		<-time.After(11 * time.Second) // of the bubble's clock
		synctest.Wait()
		stop()
		synctest.Wait()
		if quiet := slices.Min(m.asked()); quiet == 0 {
			t.Error("takes all for lost after it could not remove something")
		}
	})
	sweeper, m := newSweeper(t)
	m.due["a"] = dispatches("a", 1)
	m.remains["b"] = []document.Remains{{Version: 1, Object: "b/1"}}
	m.breakQueue(fault.New(fault.Unavailable, "redis is down"))
	if err := sweeper.Sweep(t.Context(), time.Minute); !errors.Is(err, m.queueErr) {
		t.Errorf("error %v", err)
	}
	if len(m.remains["b"]) != 0 {
		t.Error("removed nothing while the queue was down")
	}
}
