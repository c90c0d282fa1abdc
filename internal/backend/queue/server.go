package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/hibiken/asynq"

	"github.com/seed-7a112592/gristmill/internal/backend/redisguard"
	"github.com/seed-7a112592/gristmill/internal/goroutine"
	"github.com/seed-7a112592/gristmill/internal/required"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
)

const (
	// pollInterval is how soon an idle server sees a new task. reindexInterval is the same for
	// reindexes, which take minutes. delayedInterval is how precisely a delayed task is delivered.
	// asynq can only poll.
	pollInterval    = 20 * time.Millisecond
	reindexInterval = 500 * time.Millisecond
	delayedInterval = time.Second
	// panicDelay is the delay before redelivery of a task whose handler panicked.
	panicDelay = 10 * time.Second
	// delayRoundUp compensates for asynq, which rounds times down to whole seconds.
	delayRoundUp = time.Second - time.Nanosecond
	// asynqRetryDelay is the delay before redelivery of a task on which asynq gave up.
	asynqRetryDelay = time.Second
)

// ServerConfig configures a server.
type ServerConfig struct {
	RedisURL      string // redis://[user:password@]host:port[/db], or rediss:// for TLS
	Kind          task.Kind
	Concurrency   int           // maximum number of running handlers
	FinishTimeout time.Duration `zero:"ok"` // how long handlers may continue after Run's ctx has ended
	DrainTimeout  time.Duration // how long handlers may then take to return after their context is cancelled
	CloseTimeout  time.Duration // how long asynq may then take to return the remaining tasks to the queue, and to close
	Log           *slog.Logger
}

// Handler runs a task, with the task's tenant in ctx. It returns the delay before redelivery, 0 for
// done. The task is delivered again no earlier, and up to two seconds later.
type Handler func(ctx context.Context, ref task.Ref) (delay time.Duration)

// Server delivers the tasks of one kind to a handler.
type Server struct {
	cfg   ServerConfig
	redis asynq.RedisClientOpt
}

// NewServer returns a server, or an error that names what cfg lacks. It delivers tasks while Run
// runs.
func NewServer(cfg ServerConfig) (*Server, error) {
	if err := required.Fields(cfg); err != nil {
		return nil, err
	}
	opt, err := parseURL(cfg.RedisURL)
	if err != nil {
		return nil, err
	}
	if cfg.Concurrency < 1 {
		return nil, fmt.Errorf("queue %s: concurrency is %d, want 1 or more", cfg.Kind, cfg.Concurrency)
	}
	opt.DialTimeout = dialTimeout
	opt.PoolSize = cfg.Concurrency + 10 // for the end of each handler, and for asynq's own loops
	return &Server{cfg: cfg, redis: opt}, nil
}

// Run delivers tasks to handle until ctx ends, and then returns within the timeouts of the
// configuration. If Redis is down, also at the start, Run keeps trying and logs a warning from time
// to time.
func (s *Server) Run(ctx context.Context, handle Handler) error {
	// Handlers continue when ctx ends, and when asynq gives up on their tasks because Redis is
	// down: only the lease in the database counts. So handlers have a context of their own, and
	// slots limit how many of them run.
	handlerCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	slots := make(chan struct{}, s.cfg.Concurrency)
	server := s.newAsynqServer()
	restorer := s.newEntryRestorer()
	defer restorer.close()
	err := server.Start(asynq.HandlerFunc(func(entry context.Context, task *asynq.Task) error {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			return redeliverAfter(0) // not started: another worker takes it
		}
		err := s.deliver(handlerCtx, task, handle)
		if delay, ok := errors.AsType[redeliverAfter](err); ok {
			restorer.restoreIfLost(entry, task, time.Duration(delay))
		}
		return err
	}))
	if err != nil {
		return fmt.Errorf("start queue %s: %w", s.cfg.Kind, err)
	}
	<-ctx.Done()

	// The order of stopping: take no new tasks; let handlers finish, for a bounded time; cancel
	// their context and let them return; return the remaining tasks to the queue, and close. Redis
	// may hang at any step.
	log := s.cfg.Log.With("queue", s.cfg.Kind)
	stopped := goAsync(log, server.Stop)
	idle := goAsync(log, func() {
		for range cap(slots) {
			slots <- struct{}{}
		}
	})
	if !doneWithin(s.cfg.FinishTimeout, idle) {
		log.InfoContext(ctx, "cancelling handlers that are still running", "waited", s.cfg.FinishTimeout)
		cancel()
		if !doneWithin(s.cfg.DrainTimeout, idle) {
			log.WarnContext(ctx, "leaving handlers that do not return", "waited", s.cfg.DrainTimeout)
		}
	}
	closed := goAsync(log, func() {
		<-stopped
		server.Shutdown()
	})
	if !doneWithin(s.cfg.CloseTimeout, closed) {
		log.WarnContext(ctx, "redis does not answer; its connections stay open", "waited", s.cfg.CloseTimeout)
	}
	return nil
}

// entryRestorer restores the entries of running tasks that the queue has lost. asynq delivers a
// task again only if its entry still exists.
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

// restoreIfLost enqueues a task with the delay if its entry no longer exists; entry is the context
// of that entry. If Redis is down, the sweep dispatches the task again.
func (l *entryRestorer) restoreIfLost(entry context.Context, task *asynq.Task, delay time.Duration) {
	id, ok := asynq.GetTaskID(entry)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(entry), callTimeout)
	defer cancel()
	err := redisguard.Abandon(ctx, func() error {
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
		l.log.DebugContext(ctx, "cannot check whether the queue still holds a task; the sweep will dispatch it again if not", "task", id, "error", err)
	}
}

func (l *entryRestorer) close() { _ = l.client.Close() } // also closes the inspector's connections

// goAsync runs f in a goroutine, and closes done when f has returned.
func goAsync(log *slog.Logger, f func()) (done <-chan struct{}) {
	c := make(chan struct{})
	goroutine.Go(log, "stop the queue", func() {
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
		ShutdownTimeout:          s.cfg.CloseTimeout / 4, // only what remains of asynq's handlers; ours have had their time
		// asynq must count nothing as a failure: it would archive the task after too many.
		IsFailure: func(error) bool { return false },
		RetryDelayFunc: func(_ int, err error, _ *asynq.Task) time.Duration {
			if delay, ok := errors.AsType[redeliverAfter](err); ok {
				return time.Duration(delay) + delayRoundUp
			}
			return asynqRetryDelay
		},
		Logger:   newAsynqLogger(s.cfg.Log.With("queue", s.cfg.Kind)),
		LogLevel: asynq.InfoLevel, // at debug level it logs a line at every poll
	})
}

// redeliverAfter is an error that makes asynq deliver a task again after a delay.
type redeliverAfter time.Duration

func (a redeliverAfter) Error() string {
	return "redeliver after " + time.Duration(a).String()
}

// deliver calls the handler. It drops a task that Enqueue cannot have made.
func (s *Server) deliver(ctx context.Context, task *asynq.Task, handle Handler) (err error) {
	ref, err := decodeTask(task)
	if err != nil {
		s.cfg.Log.ErrorContext(ctx, "dropping a task that cannot be decoded", "type", task.Type(), "payload", string(task.Payload()), "error", err)
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
