package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/hibiken/asynq"

	"github.com/seed-7a112592/gristmill/internal/goroutine"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
)

const (
	// pollInterval is how soon an idle server sees a new task, reindexInterval
	// how soon a reindex, which takes minutes, and waitingInterval how exactly one
	// that waits for its time is delivered. asynq has no other way than to ask.
	pollInterval    = 20 * time.Millisecond
	reindexInterval = 500 * time.Millisecond
	delayedInterval = time.Second
	// panicDelay is the wait before a task whose handler panicked comes again.
	panicDelay = 10 * time.Second
	// delayRoundUp makes up for asynq's keeping times in whole seconds, rounded down.
	delayRoundUp = time.Second - time.Nanosecond
	// asynqRetryDelay is the wait before a task that asynq gave up on comes again.
	asynqRetryDelay = time.Second
)

// ServerConfig says what a server delivers, from where.
type ServerConfig struct {
	RedisURL      string // redis://[user:password@]host:port[/db], or rediss:// for TLS
	Kind          task.Kind
	Concurrency   int           // handlers at work at once
	FinishTimeout time.Duration // how long handlers may go on when Run is to end
	DrainTimeout  time.Duration // how long they then have to heed that their context has ended
	CloseTimeout  time.Duration // how long asynq then has to give back what is left, and to close
	Log           *slog.Logger
}

// Handler does a task, with the task's tenant in ctx. It returns 0 when there is
// nothing left to do about it, else after how long it is to be delivered again:
// not earlier, and up to two seconds later.
type Handler func(ctx context.Context, ref task.Ref) (again time.Duration)

// Server delivers the tasks of one kind.
type Server struct {
	cfg   ServerConfig
	redis asynq.RedisClientOpt
}

// NewServer returns a server, which delivers once it Runs.
func NewServer(cfg ServerConfig) (*Server, error) {
	opt, err := parseURL(cfg.RedisURL)
	if err != nil {
		return nil, err
	}
	if cfg.Concurrency < 1 {
		return nil, fmt.Errorf("queue %s: concurrency is %d, want 1 or more", cfg.Kind, cfg.Concurrency)
	}
	opt.DialTimeout = dialTimeout
	opt.PoolSize = cfg.Concurrency + 10 // each handler's end, and asynq's own loops
	return &Server{cfg: cfg, redis: opt}, nil
}

// Run delivers tasks to handle until ctx ends, and returns when the timeouts
// for stopping are over at the latest. Redis may be away, at the start too: Run
// then tries again, and says so in the log now and then.
func (s *Server) Run(ctx context.Context, handle Handler) error {
	// Handlers go on when ctx ends, and when asynq has lost sight of them
	// because Redis is away: the lease that counts is the database's. So they
	// have a context of their own, and slots that keep their number.
	working, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	slots := make(chan struct{}, s.cfg.Concurrency)
	server := s.newAsynqServer()
	lost := s.newEntryRestorer()
	defer lost.close()
	err := server.Start(asynq.HandlerFunc(func(entry context.Context, task *asynq.Task) error {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			return redeliverAfter(0) // not begun: for another worker
		}
		err := s.deliver(working, task, handle)
		if delay, ok := errors.AsType[redeliverAfter](err); ok {
			lost.restoreIfLost(entry, task, time.Duration(delay))
		}
		return err
	}))
	if err != nil {
		return fmt.Errorf("start queue %s: %w", s.cfg.Kind, err)
	}
	<-ctx.Done()

	// The order of stopping: take no new task; let handlers finish, for a
	// bounded time; end their context and let them return; give back to the
	// queue what did not, and close. Redis may hang at any of it.
	log := s.cfg.Log.With("queue", s.cfg.Kind)
	stopped := goAsync(log, server.Stop)
	idle := goAsync(log, func() {
		for range cap(slots) {
			slots <- struct{}{}
		}
	})
	if !doneWithin(s.cfg.FinishTimeout, idle) {
		log.InfoContext(ctx, "ending handlers that are still at work", "waited", s.cfg.FinishTimeout)
		cancel()
		if !doneWithin(s.cfg.DrainTimeout, idle) {
			log.WarnContext(ctx, "leaving handlers that do not end", "waited", s.cfg.DrainTimeout)
		}
	}
	closed := goAsync(log, func() {
		<-stopped
		server.Shutdown()
	})
	if !doneWithin(s.cfg.CloseTimeout, closed) {
		log.WarnContext(ctx, "redis does not answer; leaving its connections open", "waited", s.cfg.CloseTimeout)
	}
	return nil
}

// entryRestorer puts tasks back that the queue has lost while they were at work:
// asynq delivers a task again only if it still knows it.
type entryRestorer struct {
	queue     string
	client    *asynq.Client
	inspector *asynq.Inspector
	log       *slog.Logger
}

func (s *Server) newEntryRestorer() *entryRestorer {
	opt := s.redis
	opt.PoolSize, opt.ReadTimeout, opt.WriteTimeout = 2, callTimeout, callTimeout
	shared := sharedRedis{opt.MakeRedisClient()}
	return &entryRestorer{string(s.cfg.Kind), asynq.NewClient(shared), asynq.NewInspector(shared), s.cfg.Log}
}

// restoreIfLost has a task delivered after the delay when its entry, whose context
// this is, is gone. A Redis that is away is left to the sweep.
func (l *entryRestorer) restoreIfLost(entry context.Context, task *asynq.Task, delay time.Duration) {
	id, ok := asynq.GetTaskID(entry)
	if !ok {
		return
	}
	ctx := context.WithoutCancel(entry)
	err := callWithTimeout(ctx, func() error {
		_, err := l.inspector.GetTaskInfo(l.queue, id)
		if !errors.Is(err, asynq.ErrQueueNotFound) && !errors.Is(err, asynq.ErrTaskNotFound) {
			return err
		}
		_, err = l.client.Enqueue(task, append(entryOptions(id, l.queue), asynq.ProcessIn(delay+delayRoundUp))...)
		if errors.Is(err, asynq.ErrTaskIDConflict) {
			return nil
		}
		return err
	})
	if err != nil {
		l.log.DebugContext(ctx, "not known whether the queue still has a task; the sweep will dispatch it again", "task", id, "error", err)
	}
}

func (l *entryRestorer) close() { _ = l.client.Close() } // and with it what the inspector uses

// goAsync runs f, and closes done when it has returned.
func goAsync(log *slog.Logger, f func()) (done <-chan struct{}) {
	c := make(chan struct{})
	goroutine.Go(log, "stopping the queue", func() {
		defer close(c)
		f()
	})
	return c
}

// doneWithin reports whether done is closed within the limit.
func doneWithin(limit time.Duration, done <-chan struct{}) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}

func (s *Server) newAsynqServer() *asynq.Server {
	poll := pollInterval
	if s.cfg.Kind == task.KindReindex {
		poll = reindexInterval
	}
	return asynq.NewServer(s.redis, asynq.Config{
		Concurrency:              s.cfg.Concurrency,
		Queues:                   map[string]int{string(s.cfg.Kind): 1},
		TaskCheckInterval:        poll,
		DelayedTaskCheckInterval: delayedInterval,
		ShutdownTimeout:          s.cfg.CloseTimeout / 4, // for handlers, which have had theirs
		// Nothing is a failure to asynq, which would count it and in the end
		// put the task aside.
		IsFailure: func(error) bool { return false },
		RetryDelayFunc: func(_ int, err error, _ *asynq.Task) time.Duration {
			if delay, ok := errors.AsType[redeliverAfter](err); ok {
				return time.Duration(delay) + delayRoundUp
			}
			return asynqRetryDelay
		},
		Logger:   newAsynqLogger(s.cfg.Log.With("queue", s.cfg.Kind)),
		LogLevel: asynq.InfoLevel, // at debug it writes a line whenever it looks for tasks
	})
}

// redeliverAfter tells asynq to deliver a task again, after a delay.
type redeliverAfter time.Duration

func (a redeliverAfter) Error() string {
	return "to be delivered again after " + time.Duration(a).String()
}

// deliver calls the handler. A task that nobody can have sent is dropped.
func (s *Server) deliver(ctx context.Context, task *asynq.Task, handle Handler) (err error) {
	ref, err := decodeTask(task)
	if err != nil {
		s.cfg.Log.ErrorContext(ctx, "dropping a task that cannot be read", "type", task.Type(), "payload", string(task.Payload()), "error", err)
		return nil
	}
	ctx = tenant.With(ctx, ref.Tenant)
	var delay time.Duration
	if err := goroutine.Try(func() error { delay = handle(ctx, ref); return nil }); err != nil {
		s.cfg.Log.ErrorContext(ctx, "handler panicked", "task", ref.String(), "error", err)
		return redeliverAfter(panicDelay)
	}
	if delay > 0 {
		return redeliverAfter(delay)
	}
	return nil
}
