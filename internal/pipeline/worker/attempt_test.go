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

func TestTaskThatCrashesItsWorkerIsGivenUp(t *testing.T) {
	t.Parallel()
	runner, rows := newRunner(t, func(context.Context, task.Work) error {
		t.Error("ran once more")
		return nil
	})
	rows.attempt, rows.crashes = 3, 2
	if again := runner.Run(t.Context(), ref); again != 0 {
		t.Errorf("again after %s", again)
	}
	if len(rows.settled) != 1 || rows.settled[0].Verdict != task.VerdictFail ||
		!strings.HasPrefix(rows.settled[0].Error, "given up after 3 attempts: its worker was lost in 2 of them") {
		t.Errorf("settled %+v", rows.settled)
	}
	if rows.dispatched != 2 {
		t.Error("did not dispatch what it made room for")
	}
}

func TestPanicIsAFailureOfItsTaskOnly(t *testing.T) {
	t.Parallel()
	var log await.LogBuffer
	runner, rows := newRunner(t, func(context.Context, task.Work) error { panic("a defect") })
	runner.Log = slog.New(slog.NewTextHandler(&log, nil))
	for range 3 {
		runner.Run(t.Context(), ref)
	}
	var verdicts []task.Verdict
	for _, outcome := range rows.settled {
		verdicts = append(verdicts, outcome.Verdict)
	}
	if got, want := fmt.Sprint(verdicts), "[retry retry fail]"; got != want {
		t.Errorf("three panics: got %s, want %s", got, want)
	}
	if got, want := rows.settled[2].Error, "given up after 3 attempts: its worker panicked; see the worker's log"; got != want {
		t.Errorf("error %q, want %q", got, want)
	}
	for _, want := range []string{"a defect", "attempt_test.go"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not show %q:\n%s", want, log.String())
		}
	}
}

// newCrashedRunners returns runners of one process, one for each number of crashes
// that its task has had. Steps send on begun when they begin, and end on finish.
func newCrashedRunners(t *testing.T, crashes ...int) (runners []*worker.Runner, stores []*fakeStore, begun chan int, finish chan struct{}) {
	t.Helper()
	begun, finish = make(chan int), make(chan struct{})
	limit := worker.NewCrashLane()
	for i, n := range crashes {
		runner, store := newRunner(t, func(context.Context, task.Work) error {
			begun <- i
			<-finish
			return nil
		})
		runner.CrashLane, store.crashes = limit, n
		runners, stores = append(runners, runner), append(stores, store)
	}
	return runners, stores, begun, finish
}

// The innocent must not crash with the guilty again and again.
func TestTasksThatHaveLostAWorkerRunAFewAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		runners, stores, begun, finish := newCrashedRunners(t, 1, 1, 1, 1, 1, 2)
		again := make([]time.Duration, len(runners))
		var group sync.WaitGroup
		run := func(i int) { group.Go(func() { again[i] = runners[i].Run(t.Context(), ref) }) }
		for i := range 4 { // one crash: at once
			run(i)
			<-begun
		}
		run(4)
		run(5)
		<-time.After(3 * time.Second) // of the bubble's clock
		synctest.Wait()
		for _, i := range []int{4, 5} {
			if again[i] <= 0 || again[i] > 2*time.Second {
				t.Errorf("a task without a place comes again after %s, want about a second", again[i])
			}
			if settled := stores[i].settled; len(settled) != 1 || settled[0].Verdict != task.VerdictWait || !strings.Contains(settled[0].Error, "waits for its turn") {
				t.Errorf("settled %+v, want it to wait, which costs no attempt", settled)
			}
		}
		for range 4 {
			finish <- struct{}{}
		}
		synctest.Wait()
		run(5) // two crashes: alone
		if i := <-begun; i != 5 {
			t.Errorf("task %d begins, want the one with two crashes", i)
		}
		run(4)
		synctest.Wait()
		select {
		case i := <-begun:
			t.Errorf("task %d begins beside one with two crashes", i)
		default:
		}
		finish <- struct{}{}
		if i := <-begun; i != 4 {
			t.Errorf("task %d begins, want the last", i)
		}
		close(finish)
		group.Wait()
	})
}

// A reindex takes hours: neither do other tasks wait for it, nor it for them.
// Nor does a task that has lost no worker.
func TestReindexThatLostItsWorkerTakesNoPlace(t *testing.T) {
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

func TestPlaceOfATaskThatPanickedIsFree(t *testing.T) {
	t.Parallel()
	ran := 0
	runner, rows := newRunner(t, func(context.Context, task.Work) error { ran++; panic("a defect") })
	rows.crashes = 2
	runner.Run(t.Context(), ref)
	runner.Run(t.Context(), ref)
	if ran != 2 {
		t.Errorf("ran %d times, want 2", ran)
	}
}

func TestLeaseIsKeptWhileTheStepRuns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		runner, rows := newRunner(t, func(ctx context.Context, _ task.Work) error {
			select {
			case <-time.After(time.Minute):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		if again := runner.Run(t.Context(), ref); again != 0 {
			t.Errorf("again after %s", again)
		}
		if rows.renewed < 58 || rows.renewed > 61 {
			t.Errorf("renewed %d times in a minute, want once a second", rows.renewed)
		}
	})
}

// So a job that was cancelled stops within two seconds.
func TestWorkerThatLostItsLeaseStopsAndSettlesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		runner, rows := newRunner(t, func(ctx context.Context, _ task.Work) error {
			<-ctx.Done()
			return fmt.Errorf("embed: %w", ctx.Err())
		})
		rows.renewErr = fault.New(fault.LeaseLost, "lease lost")
		start := time.Now()
		if again := runner.Run(t.Context(), ref); again != 0 || len(rows.settled) != 0 {
			t.Errorf("again after %s, settled %+v", again, rows.settled)
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("stopped after %s, want within 2s", took)
		}
	})
}

func TestStoppingProcessHandsItsTaskBack(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	runner, rows := newRunner(t, func(ctx context.Context, _ task.Work) error {
		stop()
		return fmt.Errorf("write: %w", ctx.Err())
	})
	if again := runner.Run(ctx, ref); again <= 0 || again > time.Second {
		t.Errorf("comes again after %s, want it to be soon", again)
	}
	if len(rows.settled) != 1 || rows.settled[0].Verdict != task.VerdictWait {
		t.Errorf("settled %+v, want wait: stopping costs no attempt", rows.settled)
	}
	if rows.dispatched != 1 { // when it began
		t.Error("dispatched while stopping")
	}
}

// A step that does not heed its context does not keep its task from being
// handed back, and the task not from another worker.
func TestStoppingProcessLeavesAStepThatDoesNotEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		finish := make(chan struct{})
		runner, rows := newRunner(t, func(context.Context, task.Work) error {
			stop()
			<-finish
			return nil
		})
		start := time.Now()
		runner.Run(ctx, ref)
		if took := time.Since(start); took > drainTimeout {
			t.Errorf("took %s to stop, want at most %s", took, drainTimeout)
		}
		if len(rows.settled) != 1 || rows.settled[0].Verdict != task.VerdictWait {
			t.Errorf("settled %+v, want wait", rows.settled)
		}
		close(finish)
		synctest.Wait()
	})
}

// An outcome that is not written makes the lease run out, which would pass for
// a crash. Whatever becomes of it, the task is delivered again: what was written,
// but whose answer was lost, waits for that.
func TestOutcomeIsWrittenOnceTheStoreIsBack(t *testing.T) {
	t.Parallel()
	down := fault.New(fault.Unavailable, "database is down")
	for name, test := range map[string]struct {
		errs    []error
		settled int
	}{
		"down for a minute":                    {repeat(down, 60), 1},
		"taken over meanwhile, or answer lost": {[]error{down, fault.New(fault.LeaseLost, "lease lost")}, 0},
		"fails for good":                       {[]error{errors.New("violates a constraint")}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				runner, rows := newRunner(t, func(context.Context, task.Work) error { return down })
				rows.settleErrs = test.errs
				again := runner.Run(t.Context(), ref)
				if len(rows.settled) != test.settled || again == 0 {
					t.Errorf("settled %+v, again after %s", rows.settled, again)
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
		runner, rows := newRunner(t, func(context.Context, task.Work) error { return down })
		rows.settleErrs = repeat(down, 1000)
		time.AfterFunc(time.Minute, stop)
		start := time.Now()
		if again := runner.Run(ctx, ref); again != worker.DefaultLeaseTTL {
			t.Errorf("comes again after %s, want when its lease has run out", again)
		}
		if took := time.Since(start); took < time.Minute || took > time.Minute+drainTimeout {
			t.Errorf("tried for %s, want until stopped and no longer than %s after that", took, drainTimeout)
		}
	})
}

// What the step does not need of the time to hand back is there for a slow store.
func TestStoppingProcessHandsItsTaskBackToASlowStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		runner, rows := newRunner(t, func(ctx context.Context, _ task.Work) error {
			<-ctx.Done()
			return ctx.Err()
		})
		rows.settleErrs = repeat(fault.New(fault.Unavailable, "database is slow"), int(drainTimeout/time.Second)-1)
		time.AfterFunc(time.Minute, stop)
		runner.Run(ctx, ref)
		if len(rows.settled) != 1 || rows.settled[0].Verdict != task.VerdictWait {
			t.Errorf("settled %+v, want wait", rows.settled)
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

// Whatever goroutine of a task it is: a panic is the task's failure.
func TestPanicOfTheLeasesKeeperFailsTheAttempt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		runner, rows := newRunner(t, func(ctx context.Context, _ task.Work) error {
			<-ctx.Done() // without a lease it must not go on
			return ctx.Err()
		})
		runner.Store = panickingStore{rows}
		runner.Run(t.Context(), ref)
		if len(rows.settled) != 1 || rows.settled[0].Verdict != task.VerdictRetry || !strings.Contains(rows.settled[0].Error, "panicked") {
			t.Errorf("settled %+v, want a retry for the panic", rows.settled)
		}
	})
}

type panickingStore struct{ *fakeStore }

func (panickingStore) RenewLease(context.Context, task.Work, time.Duration) error {
	panic("a defect")
}
