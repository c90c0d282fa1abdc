// Package dispatch_test checks what the store, the dispatcher, the queue, the workers and the sweep
// promise together. It uses real servers, and steps that the test controls.
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

// One tenant has hundreds of tasks. Another tenant's only task starts after at most as many tasks
// of the first have ended as were running or in the queue when it was accepted.
func TestDispatchIsFairBetweenTenants(t *testing.T) {
	t.Parallel()
	const capacity, window = 4, 6
	m := newTestEnv(t)
	m.accept("many", 300)
	started, end := make(chan task.Work), make(chan struct{})
	m.startWorker(capacity, func(_ context.Context, work task.Work) error {
		started <- work
		<-end
		return m.publish(work)
	})
	for range capacity {
		await.Receive(t, started)
	}
	m.accept("one", 1)
	for ended := 0; ; ended++ {
		if ended > capacity+window {
			t.Fatalf("%d documents have ended, but the other tenant's has not started", ended)
		}
		end <- struct{}{}
		if work := await.Receive(t, started); work.Tenant == "one" {
			t.Logf("started after %d others had ended", ended+1)
			break
		}
	}
	close(end)
	go func() {
		for range started { // the remaining documents
		}
	}()
	m.awaitKnowledgeEnd("one")
}

// A task that the queue delivers to several workers runs only once.
func TestTaskDeliveredTwiceRunsOnce(t *testing.T) {
	t.Parallel()
	m := newTestEnv(t)
	row := m.accept("one", 1)[0]
	var mu sync.Mutex
	runs := map[task.Ref]int{}
	started, end := make(chan struct{}, 10), make(chan struct{})
	step := func(_ context.Context, work task.Work) error {
		mu.Lock()
		runs[work.Ref]++
		mu.Unlock()
		started <- struct{}{}
		<-end
		return m.publish(work)
	}
	m.startWorker(2, step)
	m.startWorker(2, step)
	for round := range 5 { // like five dispatches of the same task
		if err := m.queue.Enqueue(t.Context(), task.Dispatch{Ref: row, Round: round}); err != nil {
			t.Fatal(err)
		}
	}
	await.Receive(t, started)
	await.Until(t, "the queue contains only the running task", func() bool { return m.queueDepth() == 1 })
	close(end)
	m.awaitKnowledgeEnd("one")
	if runs[row] != 1 {
		t.Errorf("the task ran %d times, want once", runs[row])
	}
}

// Redis loses all its data while tasks are queued. All tasks succeed nevertheless.
func TestLostQueueIsRefilled(t *testing.T) {
	t.Parallel()
	m := newTestEnv(t)
	m.accept("many", 20)
	if m.queueDepth() == 0 {
		t.Fatal("the queue is empty")
	}
	m.flushRedis()
	m.startWorker(4, func(_ context.Context, work task.Work) error { return m.publish(work) })
	m.startSweeper()
	m.awaitKnowledgeEnd("many")
}

// A worker that stops releases its task, and another worker claims it within seconds. This uses up
// no attempt, whether or not the step returns when its context ends.
func TestStoppedWorkersTaskMovesToAnother(t *testing.T) {
	t.Parallel()
	for name, observesContext := range map[string]bool{"step returns when its context ends": true, "step ignores its context": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newTestEnv(t)
			m.accept("one", 1)
			started, finish := make(chan struct{}), make(chan struct{})
			defer close(finish)
			stop := m.startWorker(1, func(ctx context.Context, _ task.Work) error {
				started <- struct{}{}
				if observesContext {
					<-ctx.Done()
				} else {
					<-finish
				}
				return ctx.Err()
			})
			await.Receive(t, started)
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
				t.Errorf("another worker claimed the task after %s, want within 5s", took)
			}
			if work.Attempt != 1 || work.Crashes != 0 {
				t.Errorf("attempt %d with %d crashes, want attempt 1 with none", work.Attempt, work.Crashes)
			}
			m.awaitKnowledgeEnd("one")
		})
	}
}

// A task whose worker dies in each of three attempts fails, and its job has the reason.
func TestTaskFailsAfterThreeCrashes(t *testing.T) {
	t.Parallel()
	m := newTestEnv(t)
	row := m.accept("one", 1)[0]
	for range 3 { // workers that claim it and die
		if _, err := m.store.Claim(tenantContext(t, "one"), row, -time.Second); err != nil {
			t.Fatal(err)
		}
	}
	m.startWorker(1, func(context.Context, task.Work) error {
		t.Error("the task ran after its third crash")
		return nil
	})
	m.startSweeper()
	job := m.awaitKnowledgeEnd("one")
	if want := "given up after 3 attempts: its worker died in 3 of them"; job.State != document.JobFailed || len(job.Error) < len(want) || job.Error[:len(want)] != want {
		t.Errorf("the job is %s: %q, want failed: %q…", job.State, job.Error, want)
	}
}

// A step runs as long as it needs. Only cancelling its task ends its context.
func TestCancelledTaskStopsWithinTwoSeconds(t *testing.T) {
	t.Parallel()
	m := newTestEnv(t)
	m.accept("one", 1)
	started, stopped := make(chan task.Work), make(chan time.Time, 1)
	m.startWorker(1, func(ctx context.Context, work task.Work) error {
		started <- work
		<-ctx.Done()
		stopped <- time.Now()
		return fmt.Errorf("embed: %w", ctx.Err())
	})
	work := await.Receive(t, started)
	cancelled := time.Now()
	if _, err := m.jobs.Cancel(tenantContext(t, "one"), work.JobID); err != nil {
		t.Fatal(err)
	}
	if took := await.Receive(t, stopped).Sub(cancelled); took > 2*time.Second {
		t.Errorf("the step's context ended after %s, want within 2s", took)
	}
	if job := m.awaitKnowledgeEnd("one"); job.State != document.JobCancelled {
		t.Errorf("the job is %s, want cancelled", job.State)
	}
}
