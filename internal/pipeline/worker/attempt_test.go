package worker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/pipeline/worker"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/test/await"
)

func TestTaskThatCrashesItsWorkerFails(t *testing.T) {
	t.Parallel()
	runner, store := newRunner(t, func(context.Context, task.Work) error {
		t.Error("the step ran again")
		return nil
	})
	store.attempt, store.crashes = 3, 2
	if redeliver := runner.Run(t.Context(), ref); redeliver != 0 {
		t.Errorf("redelivery after %s, want none", redeliver)
	}
	if len(store.recorded) != 1 || store.recorded[0].Verdict != task.VerdictFail ||
		!strings.HasPrefix(store.recorded[0].Error, "given up after 3 attempts: its worker died in 2 of them") {
		t.Errorf("recorded %+v, want a failure after 3 attempts", store.recorded)
	}
	if store.dispatched != 2 {
		t.Errorf("dispatched %d times, want 2: at the first task of the tenant, and at its end", store.dispatched)
	}
}

func TestPanicFailsItsTaskOnly(t *testing.T) {
	t.Parallel()
	var log await.LogBuffer
	runner, store := newRunner(t, func(context.Context, task.Work) error { panic("a defect") })
	runner.Log = slog.New(slog.NewTextHandler(&log, nil))
	for range 3 {
		runner.Run(t.Context(), ref)
	}
	var verdicts []task.Verdict
	for _, outcome := range store.recorded {
		verdicts = append(verdicts, outcome.Verdict)
	}
	if got, want := fmt.Sprint(verdicts), "[retry retry fail]"; got != want {
		t.Errorf("three panics: got %s, want %s", got, want)
	}
	if got, want := store.recorded[2].Error, "given up after 3 attempts: its worker panicked; see the worker's log"; got != want {
		t.Errorf("error %q, want %q", got, want)
	}
	for _, want := range []string{"a defect", "attempt_test.go"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not show %q:\n%s", want, log.String())
		}
	}
}

// newCrashedRunners returns runners of one process, one for each number of crashes of its task.
// Steps send their index on begun when they begin, and end when they receive from finish.
func newCrashedRunners(t *testing.T, crashes ...int) (runners []*worker.Runner, stores []*fakeStore, begun chan int, finish chan struct{}) {
	t.Helper()
	begun, finish = make(chan int), make(chan struct{})
	lane := worker.NewCrashLane()
	for i, n := range crashes {
		runner, store := newRunner(t, func(context.Context, task.Work) error {
			begun <- i
			<-finish
			return nil
		})
		runner.CrashLane, store.crashes = lane, n
		runners, stores = append(runners, runner), append(stores, store)
	}
	return runners, stores, begun, finish
}

// A task that crashes its worker must not crash others again and again.
func TestCrashLaneRunsFewTasksAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		runners, stores, begun, finish := newCrashedRunners(t, 1, 1, 1, 1, 1, 2)
		redeliver := make([]time.Duration, len(runners))
		var group sync.WaitGroup
		run := func(i int) { group.Go(func() { redeliver[i] = runners[i].Run(t.Context(), ref) }) }
		for i := range 4 { // one crash: together
			run(i)
			<-begun
		}
		run(4)
		run(5)
		<-time.After(3 * time.Second) // on the bubble's clock
		synctest.Wait()
		for _, i := range []int{4, 5} {
			if redeliver[i] <= 0 || redeliver[i] > 2*time.Second {
				t.Errorf("task without a permit: redelivery after %s, want about a second", redeliver[i])
			}
			if recorded := stores[i].recorded; len(recorded) != 1 || recorded[0].Verdict != task.VerdictWait || !strings.Contains(recorded[0].Error, "this one waits") {
				t.Errorf("recorded %+v, want a wait, which uses up no attempt", recorded)
			}
		}
		for range 4 {
			finish <- struct{}{}
		}
		synctest.Wait()
		run(5) // two crashes: alone
		if i := <-begun; i != 5 {
			t.Errorf("task %d began, want the one with two crashes", i)
		}
		run(4)
		synctest.Wait()
		select {
		case i := <-begun:
			t.Errorf("task %d began while one with two crashes ran", i)
		default:
		}
		finish <- struct{}{}
		if i := <-begun; i != 4 {
			t.Errorf("task %d began, want the last one", i)
		}
		close(finish)
		group.Wait()
	})
}

// A reindex takes hours: it needs no permit, so neither do other tasks wait for it, nor does it wait
// for them. A task without a crash needs none either.
func TestReindexNeedsNoPermit(t *testing.T) {
	t.Parallel()
	runners, _, begun, finish := newCrashedRunners(t, 2, 2, 2, 0)
	reindex := ref
	reindex.Kind = task.KindReindex
	var group sync.WaitGroup
	for i, task := range []task.Ref{reindex, ref, reindex, ref} {
		group.Go(func() { runners[i].Run(t.Context(), task) })
		await.Receive(t, begun)
	}
	close(finish)
	group.Wait()
}

func TestPermitIsReleasedAfterAPanic(t *testing.T) {
	t.Parallel()
	ran := 0
	runner, store := newRunner(t, func(context.Context, task.Work) error { ran++; panic("a defect") })
	store.crashes = 2
	runner.Run(t.Context(), ref)
	runner.Run(t.Context(), ref)
	if ran != 2 {
		t.Errorf("ran %d times, want 2", ran)
	}
}

func TestLeaseIsRenewedWhileTheStepRuns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		runner, store := newRunner(t, func(ctx context.Context, _ task.Work) error {
			select {
			case <-time.After(time.Minute):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		if redeliver := runner.Run(t.Context(), ref); redeliver != 0 {
			t.Errorf("redelivery after %s, want none", redeliver)
		}
		if store.renewed < 58 || store.renewed > 61 {
			t.Errorf("renewed %d times in a minute, want once a second", store.renewed)
		}
	})
}

// This is how a cancelled job stops within two seconds.
func TestWorkerThatLosesItsLeaseStops(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		runner, store := newRunner(t, func(ctx context.Context, _ task.Work) error {
			<-ctx.Done()
			return fmt.Errorf("embed: %w", ctx.Err())
		})
		store.renewErr = fault.New(fault.LeaseLost, "lease lost")
		start := time.Now()
		if redeliver := runner.Run(t.Context(), ref); redeliver != 0 || len(store.recorded) != 0 {
			t.Errorf("redelivery after %s, recorded %+v, want neither", redeliver, store.recorded)
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("stopped after %s, want within 2s", took)
		}
	})
}

// The transaction that writes the result also ends the lease. A renewal that the store refuses
// because of that does not turn the success into a lost lease.
func TestLeaseLostAfterSuccess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		runner, store := newRunner(t, func(ctx context.Context, _ task.Work) error {
			<-ctx.Done() // the result is written
			return nil
		})
		store.renewErr = fault.New(fault.LeaseLost, "lease lost")
		if redeliver := runner.Run(t.Context(), ref); redeliver != 0 || len(store.recorded) != 0 {
			t.Errorf("redelivery after %s, recorded %+v, want neither", redeliver, store.recorded)
		}
		if store.notified != 2 {
			t.Errorf("notified of %d changes, want 2: of the claim and of the success", store.notified)
		}
		if metrics := scrape(t, runner.Metrics); !strings.Contains(metrics, `outcome="done"} 1`) || strings.Contains(metrics, `outcome="lost"`) {
			t.Errorf("want the attempt counted as done:\n%s", metrics)
		}
	})
}

func TestStoppingProcessReturnsItsTask(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	runner, store := newRunner(t, func(ctx context.Context, _ task.Work) error {
		stop()
		return fmt.Errorf("write: %w", ctx.Err())
	})
	if redeliver := runner.Run(ctx, ref); redeliver <= 0 || redeliver > time.Second {
		t.Errorf("redelivery after %s, want within a second", redeliver)
	}
	if len(store.recorded) != 1 || store.recorded[0].Verdict != task.VerdictWait {
		t.Errorf("recorded %+v, want a wait, which uses up no attempt", store.recorded)
	}
	if store.dispatched != 1 { // at the start
		t.Error("dispatched while stopping")
	}
}

// If a step does not return, its task is still returned to the queue, so that another worker can run
// it.
func TestStoppingProcessAbandonsAStepThatDoesNotReturn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		finish := make(chan struct{})
		runner, store := newRunner(t, func(context.Context, task.Work) error {
			stop()
			<-finish
			return nil
		})
		start := time.Now()
		runner.Run(ctx, ref)
		if took := time.Since(start); took > drainTimeout {
			t.Errorf("took %s to stop, want at most %s", took, drainTimeout)
		}
		if len(store.recorded) != 1 || store.recorded[0].Verdict != task.VerdictWait {
			t.Errorf("recorded %+v, want a wait", store.recorded)
		}
		close(finish)
		synctest.Wait()
	})
}

// If no outcome were recorded, the lease would expire, which counts as a crash. The task is
// redelivered even if recording fails: if the record was written and only the response was lost,
// the redelivered task waits for its time.
func TestOutcomeIsRecordedWhenTheStoreIsBack(t *testing.T) {
	t.Parallel()
	down := fault.New(fault.Unavailable, "database is down")
	for name, test := range map[string]struct {
		errs     []error
		recorded int
	}{
		"down for a minute":                    {repeat(down, 60), 1},
		"claimed by another, or response lost": {[]error{down, fault.New(fault.LeaseLost, "lease lost")}, 0},
		"permanent error":                      {[]error{errors.New("violates a constraint")}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				runner, store := newRunner(t, func(context.Context, task.Work) error { return down })
				store.recordErrs = test.errs
				redeliver := runner.Run(t.Context(), ref)
				if len(store.recorded) != test.recorded || redeliver == 0 {
					t.Errorf("recorded %+v, redelivery after %s, want %d outcomes and a redelivery", store.recorded, redeliver, test.recorded)
				}
			})
		})
	}
}

func TestStoppingProcessDoesNotWaitForTheStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		down := fault.New(fault.Unavailable, "database is down")
		runner, store := newRunner(t, func(context.Context, task.Work) error { return down })
		store.recordErrs = repeat(down, 1000)
		time.AfterFunc(time.Minute, stop)
		start := time.Now()
		if redeliver := runner.Run(ctx, ref); redeliver != worker.DefaultLeaseTTL {
			t.Errorf("redelivery after %s, want %s, when its lease has expired", redeliver, worker.DefaultLeaseTTL)
		}
		if took := time.Since(start); took < time.Minute || took > time.Minute+drainTimeout {
			t.Errorf("tried for %s, want until the stop and at most %s longer", took, drainTimeout)
		}
	})
}

// The time that the step does not need to stop is left for a slow store.
func TestStoppingProcessWaitsForASlowStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		runner, store := newRunner(t, func(ctx context.Context, _ task.Work) error {
			<-ctx.Done()
			return ctx.Err()
		})
		store.recordErrs = repeat(fault.New(fault.Unavailable, "database is slow"), int(drainTimeout/time.Second)-1)
		time.AfterFunc(time.Minute, stop)
		runner.Run(ctx, ref)
		if len(store.recorded) != 1 || store.recorded[0].Verdict != task.VerdictWait {
			t.Errorf("recorded %+v, want a wait", store.recorded)
		}
	})
}

func repeat(err error, n int) []error {
	errs := make([]error, n)
	for i := range errs {
		errs[i] = err
	}
	return errs
}

// A panic in any goroutine of a task fails the attempt.
func TestPanicWhileRenewingTheLeaseFailsTheAttempt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		runner, store := newRunner(t, func(ctx context.Context, _ task.Work) error {
			<-ctx.Done() // the step must not go on without a lease
			return ctx.Err()
		})
		runner.Store = panickingStore{store}
		runner.Run(t.Context(), ref)
		if len(store.recorded) != 1 || store.recorded[0].Verdict != task.VerdictRetry || !strings.Contains(store.recorded[0].Error, "panicked") {
			t.Errorf("recorded %+v, want a retry because of the panic", store.recorded)
		}
	})
}

type panickingStore struct{ *fakeStore }

func (panickingStore) RenewLease(context.Context, task.Work, time.Duration) error {
	panic("a defect")
}
