package queue_test

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"

	"github.com/seed-7a112592/gristmill/internal/backend/queue"
	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/internal/test/await"
)

// collectTasks returns a handler that sends the task to got and is done.
func collectTasks(got chan<- task.Ref) queue.Handler {
	return func(_ context.Context, ref task.Ref) time.Duration {
		got <- ref
		return 0
	}
}

func TestRunDelivers(t *testing.T) {
	onEachRedis(t, func(t *testing.T, url string) {
		c := newClient(t, url)
		want := []task.Ref{newRef(task.KindKnowledge), newRef(task.KindKnowledge), newRef(task.KindSummary)}
		enqueue(t, c, want...)
		got := make(chan task.Ref, 10)
		handle := func(ctx context.Context, ref task.Ref) time.Duration {
			if id, err := tenant.From(ctx); err != nil || id != ref.Tenant {
				t.Errorf("tenant in ctx = %q, %v, want %q", id, err, ref.Tenant)
			}
			return collectTasks(got)(ctx, ref)
		}
		runServer(t, queue.ServerConfig{RedisURL: url}, handle)
		refs := []task.Ref{await.Receive(t, got), await.Receive(t, got)}
		await.Until(t, "the knowledge queue is empty", func() bool { return countTasks(t, c) == 0 })
		if len(got) > 0 {
			t.Errorf("a server of %s got %s", task.KindKnowledge, <-got)
		}
		runServer(t, queue.ServerConfig{RedisURL: url, Kind: task.KindSummary}, handle)
		refs = append(refs, await.Receive(t, got))
		byName := func(a, b task.Ref) int { return strings.Compare(a.String(), b.String()) }
		slices.SortFunc(refs, byName)
		slices.SortFunc(want, byName)
		if diff := cmp.Diff(want, refs); diff != "" {
			t.Errorf("delivered (-want +got):\n%s", diff)
		}
		// After a task is done, it can be enqueued again.
		enqueue(t, c, want[0])
		await.Receive(t, got)
	})
}

func TestRunRedelivers(t *testing.T) {
	onEachRedis(t, func(t *testing.T, url string) {
		c := newClient(t, url)
		enqueue(t, c, newRef(task.KindKnowledge))
		delays := []time.Duration{time.Nanosecond, 1500 * time.Millisecond, 0}
		delivered := make(chan time.Time, len(delays))
		runServer(t, queue.ServerConfig{RedisURL: url}, func(context.Context, task.Ref) time.Duration {
			delivered <- time.Now()
			return delays[len(delivered)-1]
		})
		await.Until(t, "the task was delivered often enough", func() bool { return len(delivered) == len(delays) })
		for last, i := <-delivered, 0; i < 2; i++ {
			next := <-delivered
			if waited := next.Sub(last); waited < delays[i] || waited > delays[i]+4*time.Second {
				t.Errorf("redelivered after %s, want %s or a little more", waited, delays[i])
			}
			last = next
		}
		await.Until(t, "the task is done", func() bool { return countTasks(t, c) == 0 })
		if info, err := inspector(t, url).GetQueueInfo(string(task.KindKnowledge)); err != nil || info.FailedTotal != 0 || info.Archived != 0 {
			t.Errorf("asynq counts failures: %+v, %v", info, err)
		}
	})
}

// The queue loses its data while a task runs. The task is delivered again after its delay.
func TestRunRestoresLostEntry(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	url := "redis://" + server.Addr()
	c := newClient(t, url)
	enqueue(t, c, newRef(task.KindKnowledge))
	delivered := make(chan time.Time, 2)
	runServer(t, queue.ServerConfig{RedisURL: url}, func(context.Context, task.Ref) time.Duration {
		delivered <- time.Now()
		if len(delivered) == 2 {
			return 0
		}
		server.FlushAll()
		return time.Second
	})
	await.Until(t, "the task was delivered again", func() bool { return len(delivered) == 2 })
	if waited := -(<-delivered).Sub(<-delivered); waited < time.Second || waited > 5*time.Second {
		t.Errorf("redelivered after %s, want a second or a little more", waited)
	}
}

func TestHandlerPanics(t *testing.T) {
	onEachRedis(t, func(t *testing.T, url string) {
		c := newClient(t, url)
		enqueue(t, c, newRef(task.KindKnowledge))
		var log await.LogBuffer
		panicked := make(chan time.Time, 1)
		runServer(t, queue.ServerConfig{RedisURL: url, Log: slog.New(slog.NewTextHandler(&log, nil))},
			func(context.Context, task.Ref) time.Duration {
				panicked <- time.Now()
				panic("a defect")
			})
		var waiting []*asynq.TaskInfo
		await.Until(t, "the task waits", func() bool {
			waiting, _ = inspector(t, url).ListRetryTasks(string(task.KindKnowledge))
			return len(waiting) == 1
		})
		if wait := waiting[0].NextProcessAt.Sub(<-panicked); wait < 10*time.Second || wait > 12*time.Second {
			t.Errorf("redelivered after %s, want 10s or a little more", wait)
		}
		for _, want := range []string{"a defect", "server_test.go"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log does not show %q:\n%s", want, log.String())
			}
		}
	})
}

func TestRunDropsInvalidTasks(t *testing.T) {
	t.Parallel()
	url := "redis://" + miniredis.RunT(t).Addr()
	opt, err := asynq.ParseRedisURI(url)
	if err != nil {
		t.Fatal(err)
	}
	raw := asynq.NewClient(opt)
	defer raw.Close()
	payloads := []string{
		``, `{`, `{}`, `{"tenant":"acme","version":1}`,
		`{"tenant":"../etc","document":"019a0000-0000-7000-8000-000000000000","version":1}`,
		`{"tenant":"acme","document":"019a0000-0000-7000-8000-000000000000","version":0}`,
		`{"tenant":"acme","document":"not a uuid","version":1}`,
	}
	for _, payload := range payloads {
		row := asynq.NewTask(string(task.KindKnowledge), []byte(payload))
		if _, err := raw.Enqueue(row, asynq.Queue(string(task.KindKnowledge))); err != nil {
			t.Fatal(err)
		}
	}
	c := newClient(t, url)
	ref := newRef(task.KindKnowledge)
	enqueue(t, c, ref)
	var log await.LogBuffer
	got := make(chan task.Ref, 10)
	runServer(t, queue.ServerConfig{RedisURL: url, Log: slog.New(slog.NewTextHandler(&log, nil))}, collectTasks(got))
	if await.Receive(t, got) != ref {
		t.Error("another task was delivered")
	}
	await.Until(t, "the queue is empty", func() bool { return countTasks(t, c) == 0 })
	if n := strings.Count(log.String(), "cannot be decoded"); n != len(payloads) {
		t.Errorf("%d of %d dropped tasks are in the log:\n%s", n, len(payloads), log.String())
	}
}

func TestStopLetsHandlersFinish(t *testing.T) {
	onEachRedis(t, func(t *testing.T, url string) {
		c := newClient(t, url)
		enqueue(t, c, newRef(task.KindKnowledge))
		working, finish := make(chan struct{}), make(chan struct{})
		var ended error
		var log await.LogBuffer
		debug := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		stop := runServer(t, queue.ServerConfig{RedisURL: url, FinishTimeout: await.Deadline, Log: debug},
			func(ctx context.Context, _ task.Ref) time.Duration {
				working <- struct{}{}
				<-finish
				ended = ctx.Err()
				return 0
			})
		await.Receive(t, working)
		enqueue(t, c, newRef(task.KindKnowledge))
		stopped := make(chan struct{})
		go func() { stop(); close(stopped) }()
		await.Until(t, "the server takes no new task", func() bool {
			return strings.Contains(log.String(), "Processor stopped")
		})
		close(finish)
		await.Receive(t, stopped)
		if ended != nil {
			t.Errorf("the handler's context ended: %v", ended)
		}
		if n := countTasks(t, c); n != 1 {
			t.Errorf("%d tasks are left, want the 1 that was not started", n)
		}
	})
}

func TestStopCancelsHandlersAfterTimeout(t *testing.T) {
	onEachRedis(t, func(t *testing.T, url string) {
		c := newClient(t, url)
		enqueue(t, c, newRef(task.KindKnowledge))
		working := make(chan struct{})
		stop := runServer(t, queue.ServerConfig{RedisURL: url, FinishTimeout: 50 * time.Millisecond},
			func(ctx context.Context, _ task.Ref) time.Duration {
				working <- struct{}{}
				<-ctx.Done()
				return time.Minute
			})
		await.Receive(t, working)
		start := time.Now()
		stop()
		if took := time.Since(start); took > 4*time.Second {
			t.Errorf("stopping took %s", took)
		}
		if waiting, err := inspector(t, url).ListRetryTasks(string(task.KindKnowledge)); err != nil || len(waiting) != 1 {
			t.Errorf("waiting tasks = %v, %v, want the 1 that was cancelled", waiting, err)
		}
	})
}

// A handler that ignores its context does not delay the stop. Its task returns to the queue
// immediately, so that another worker can take it when the lease allows.
func TestStopLeavesHandlersThatDoNotReturn(t *testing.T) {
	onEachRedis(t, func(t *testing.T, url string) {
		c := newClient(t, url)
		enqueue(t, c, newRef(task.KindKnowledge))
		working, finish := make(chan struct{}), make(chan struct{})
		defer close(finish)
		cfg := queue.ServerConfig{RedisURL: url, FinishTimeout: 100 * time.Millisecond, DrainTimeout: 200 * time.Millisecond, CloseTimeout: time.Second}
		stop := runServer(t, cfg, func(context.Context, task.Ref) time.Duration {
			working <- struct{}{}
			<-finish
			return 0
		})
		await.Receive(t, working)
		start := time.Now()
		stop()
		if took, most := time.Since(start), cfg.FinishTimeout+cfg.DrainTimeout+cfg.CloseTimeout; took > most+100*time.Millisecond {
			t.Errorf("stopping took %s, want at most %s", took, most)
		}
		got := make(chan task.Ref, 1)
		start = time.Now()
		runServer(t, queue.ServerConfig{RedisURL: url}, collectTasks(got))
		await.Receive(t, got)
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("another worker got the task after %s, want a few seconds", took)
		}
	})
}

// asynq gives up on a task that it has lost, for example when Redis is down. The handler continues,
// and the next one waits for its slot.
func TestHandlerContinuesWhenAsynqGivesUp(t *testing.T) {
	onEachRedis(t, func(t *testing.T, url string) {
		c := newClient(t, url)
		ref := newRef(task.KindKnowledge)
		enqueue(t, c, ref)
		working, finish := make(chan context.Context), make(chan struct{})
		runServer(t, queue.ServerConfig{RedisURL: url}, func(ctx context.Context, _ task.Ref) time.Duration {
			working <- ctx
			<-finish
			return 0
		})
		ctx := await.Receive(t, working)
		dropActiveEntry(t, url, ref)
		if ctx.Err() != nil {
			t.Errorf("the handler's context has ended: %v", ctx.Err())
		}
		select {
		case <-working:
			t.Error("two handlers ran concurrently, want 1")
		default:
		}
		finish <- struct{}{}
		await.Receive(t, working)
		finish <- struct{}{}
		await.Until(t, "the task is done", func() bool { return countTasks(t, c) == 0 })
	})
}

// A task that was delivered and not started is not started during a stop.
func TestStopStartsNothing(t *testing.T) {
	onEachRedis(t, func(t *testing.T, url string) {
		c := newClient(t, url)
		ref := newRef(task.KindKnowledge)
		enqueue(t, c, ref)
		working, finish := make(chan struct{}, 2), make(chan struct{})
		stop := runServer(t, queue.ServerConfig{RedisURL: url, FinishTimeout: await.Deadline}, func(context.Context, task.Ref) time.Duration {
			working <- struct{}{}
			<-finish
			return 0
		})
		await.Receive(t, working)
		dropActiveEntry(t, url, ref) // the redelivered task waits for the slot
		stopped := make(chan struct{})
		go func() { stop(); close(stopped) }()
		await.Until(t, "the task is returned to the queue", func() bool {
			waiting, err := inspector(t, url).ListRetryTasks(string(task.KindKnowledge))
			return err == nil && len(waiting) == 1 || len(working) > 0
		})
		close(finish)
		await.Receive(t, stopped)
		if len(working) > 0 {
			t.Error("a task was started during the stop")
		}
	})
}

// dropActiveEntry makes asynq give up on an active task and deliver it again.
func dropActiveEntry(t *testing.T, url string, ref task.Ref) {
	t.Helper()
	name := dispatchOf(ref).String()
	i := inspector(t, url)
	is := func(state func(*asynq.TaskInfo) bool) func() bool {
		return func() bool {
			info, err := i.GetTaskInfo(string(task.KindKnowledge), name)
			if err != nil {
				t.Fatal(err)
			}
			return state(info)
		}
	}
	givenUp := is(func(info *asynq.TaskInfo) bool { return info.LastErr != "" })
	await.Until(t, "asynq has given up", func() bool {
		// asynq receives the cancellation only after it has subscribed.
		if err := i.CancelProcessing(name); err != nil {
			t.Fatal(err)
		}
		return givenUp()
	})
	await.Until(t, "it has delivered the task again", is(func(info *asynq.TaskInfo) bool { return info.State == asynq.TaskStateActive }))
}

func TestRunWithoutRedisAtStart(t *testing.T) {
	t.Parallel()
	address := closedPort(t)
	c := newClient(t, "redis://"+address)
	var log await.LogBuffer
	got := make(chan task.Ref, 1)
	debug := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	runServer(t, queue.ServerConfig{RedisURL: "redis://" + address, Log: debug}, collectTasks(got))
	ref := newRef(task.KindKnowledge)
	if err := c.Enqueue(t.Context(), dispatchOf(ref)); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("Enqueue = %v, want %s", err, fault.Unavailable)
	}
	await.Until(t, "asynq reports several problems", func() bool { return strings.Count(log.String(), "asynq reports") > 3 })
	if n := strings.Count(log.String(), "level=WARN"); n != 1 {
		t.Errorf("%d warnings about one outage:\n%s", n, log.String())
	}
	redis := miniredis.NewMiniRedis()
	if err := redis.StartAddr(address); err != nil {
		t.Fatal(err)
	}
	defer redis.Close()
	await.Until(t, "Redis can be reached", func() bool { return c.Enqueue(t.Context(), dispatchOf(ref)) == nil })
	if await.Receive(t, got) != ref {
		t.Error("another task was delivered")
	}
}

func inspector(t *testing.T, url string) *asynq.Inspector {
	t.Helper()
	opt, err := asynq.ParseRedisURI(url)
	if err != nil {
		t.Fatal(err)
	}
	i := asynq.NewInspector(opt)
	t.Cleanup(func() { _ = i.Close() })
	return i
}
