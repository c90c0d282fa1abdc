// Package dispatch tests what the store, the dispatcher, the queue, the workers
// and the sweep promise together, on real servers and with steps that do what
// the test says.
package dispatch_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/test/await"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// One tenant has very much to do. Another's only document is begun before more
// of that has ended than was under way or in the queue.
func TestTenantWithOneDocumentDoesNotWaitForAnothersHundreds(t *testing.T) {
	t.Parallel()
	const capacity, window = 4, 6
	m := newTestEnv(t)
	m.accept("many", 300)
	begun, end := make(chan task.Work), make(chan struct{})
	m.startWorker(capacity, func(_ context.Context, work task.Work) error {
		begun <- work
		<-end
		return m.publish(work)
	})
	for range capacity {
		await.Receive(t, begun)
	}
	m.accept("one", 1)
	for ended := 0; ; ended++ {
		if ended > capacity+window {
			t.Fatalf("%d documents have ended since, and the other tenant's is not begun", ended)
		}
		end <- struct{}{}
		if work := await.Receive(t, begun); work.Tenant == "one" {
			t.Logf("begun after %d others had ended", ended+1)
			break
		}
	}
	close(end)
	go func() {
		for range begun { // the rest
		}
	}()
	m.awaitKnowledgeEnd("one")
}

// However a task comes to be given to two workers, one runs it.
func TestTaskThatIsGivenToTwoWorkersIsRunOnce(t *testing.T) {
	t.Parallel()
	m := newTestEnv(t)
	row := m.accept("one", 1)[0]
	var mu sync.Mutex
	runs := map[task.Ref]int{}
	begun, end := make(chan struct{}, 10), make(chan struct{})
	step := func(_ context.Context, work task.Work) error {
		mu.Lock()
		runs[work.Ref]++
		mu.Unlock()
		begun <- struct{}{}
		<-end
		return m.publish(work)
	}
	m.startWorker(2, step)
	m.startWorker(2, step)
	for round := range 5 { // as if it had been dispatched again and again
		if err := m.queue.Enqueue(t.Context(), task.Dispatch{Ref: row, Round: round}); err != nil {
			t.Fatal(err)
		}
	}
	await.Receive(t, begun)
	await.Until(t, "the queue holds only what is at work", func() bool { return m.queueDepth() == 1 })
	close(end)
	m.awaitKnowledgeEnd("one")
	if runs[row] != 1 {
		t.Errorf("the task was run %d times, want once", runs[row])
	}
}

// All of Redis is lost while there is work, and everything is done.
func TestLostQueueIsFilledAgain(t *testing.T) {
	t.Parallel()
	m := newTestEnv(t)
	m.accept("many", 20)
	if m.queueDepth() == 0 {
		t.Fatal("nothing is in the queue")
	}
	m.flushRedis()
	m.startWorker(4, func(_ context.Context, work task.Work) error { return m.publish(work) })
	m.startSweeper()
	m.awaitKnowledgeEnd("many")
}

// A worker that stops hands its task back, and another has it within seconds.
// That costs no attempt, whether the step heeds its context or not.
func TestTaskOfAWorkerThatStopsIsTakenByAnother(t *testing.T) {
	t.Parallel()
	for name, heeds := range map[string]bool{"heeds its context": true, "does not": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newTestEnv(t)
			m.accept("one", 1)
			begun, finish := make(chan struct{}), make(chan struct{})
			defer close(finish)
			stop := m.startWorker(1, func(ctx context.Context, _ task.Work) error {
				begun <- struct{}{}
				if heeds {
					<-ctx.Done()
				} else {
					<-finish
				}
				return ctx.Err()
			})
			await.Receive(t, begun)
			start := time.Now()
			stop()
			if took := time.Since(start); took > stopTimeout+time.Second {
				t.Errorf("stopping took %s, want at most %s", took, stopTimeout)
			}
			taken := make(chan task.Work, 1)
			start = time.Now()
			m.startWorker(1, func(_ context.Context, work task.Work) error {
				taken <- work
				return m.publish(work)
			})
			work := await.Receive(t, taken)
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("another worker had the task after %s, want it within seconds", took)
			}
			if work.Attempt != 1 || work.Crashes != 0 {
				t.Errorf("it is attempt %d after %d crashes, want the first", work.Attempt, work.Crashes)
			}
			m.awaitKnowledgeEnd("one")
		})
	}
}

// A document whose worker dies with it every time is given up, and tells why.
func TestTaskThatAlwaysLosesItsWorkerIsGivenUp(t *testing.T) {
	t.Parallel()
	m := newTestEnv(t)
	row := m.accept("one", 1)[0]
	for range 3 { // workers that claim it and are never seen again
		if _, err := m.store.Claim(tenantContext(t, "one"), row, -time.Second); err != nil {
			t.Fatal(err)
		}
	}
	m.startWorker(1, func(context.Context, task.Work) error {
		t.Error("run once more")
		return nil
	})
	m.startSweeper()
	job := m.awaitKnowledgeEnd("one")
	if want := "given up after 3 attempts: its worker was lost in 3 of them"; job.State != document.JobFailed || len(job.Error) < len(want) || job.Error[:len(want)] != want {
		t.Errorf("the job is %s: %q, want it failed: %q…", job.State, job.Error, want)
	}
}

// Steps run as long as they like; only a cancelled one is told to stop.
func TestCancelledTaskStopsWithinTwoSeconds(t *testing.T) {
	t.Parallel()
	m := newTestEnv(t)
	m.accept("one", 1)
	begun, stopped := make(chan task.Work), make(chan time.Time, 1)
	m.startWorker(1, func(ctx context.Context, work task.Work) error {
		begun <- work
		<-ctx.Done()
		stopped <- time.Now()
		return fmt.Errorf("embed: %w", ctx.Err())
	})
	work := await.Receive(t, begun)
	cancelled := time.Now()
	if _, err := m.jobs.Cancel(tenantContext(t, "one"), work.JobID); err != nil {
		t.Fatal(err)
	}
	if took := await.Receive(t, stopped).Sub(cancelled); took > 2*time.Second {
		t.Errorf("it was told to stop after %s, want within 2s", took)
	}
	if job := m.awaitKnowledgeEnd("one"); job.State != document.JobCancelled {
		t.Errorf("the job is %s, want cancelled", job.State)
	}
}
