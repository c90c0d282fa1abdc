// Package progress keeps short-lived state of running jobs in Redis: the progress of running tasks,
// and notifications that something about a job has changed. The database is authoritative; Redis
// may be ahead by a moment. Redis also holds what processes share: in-flight locks, and the rate
// limits and holds of models. If Redis is slow, down or emptied, answers are less fresh and each
// process decides for itself, and nothing else changes: no call takes longer than half a second,
// and after a failed call, calls are skipped for a second.
//
// The progress of a job is the hash job:ID with the fields tenant, knowledge and summary. It
// expires an hour after the last write. Changes are published on the channel of the same name.
// claim:NAME is a lock; its value is the process that holds it. pace:NAME is the rate limiter state
// of the model NAME; see RateLimiter.
package progress

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/seed-7a112592/gristmill/internal/backend/redisguard"
	"github.com/seed-7a112592/gristmill/internal/goroutine"
	"github.com/seed-7a112592/gristmill/internal/required"
)

const (
	callTimeout = 500 * time.Millisecond
	// retryAfter is the wait that callers are asked for when Redis cannot be reached.
	retryAfter = time.Second
	// writeInterval is the time between two writes about one job.
	writeInterval = 250 * time.Millisecond
	// progressTTL is how long a job's progress is kept after its last write.
	progressTTL = time.Hour
)

// Config configures the connection to Redis.
type Config struct {
	RedisURL string // redis://[user:password@]host:port[/db], or rediss:// for TLS
	Log      *slog.Logger
}

// Store is the state of running jobs in Redis. It is safe for concurrent use.
type Store struct {
	redis     *redis.Client
	guard     *redisguard.Guard
	timeout   time.Duration // of each call
	log       *slog.Logger
	processID string // identifies this process among those that share Redis

	mu      sync.Mutex
	pending map[uuid.UUID]*pendingWrite // jobs that have a writer
	writers *goroutine.Group
	closing chan struct{} // closed by Close

	hub watchHub
}

// NewStore returns a store in the given Redis. Redis does not have to be reachable.
func NewStore(cfg Config) (*Store, error) { return newStore(cfg, callTimeout) }

func newStore(cfg Config, timeout time.Duration) (*Store, error) {
	if err := required.Fields(cfg); err != nil {
		return nil, err
	}
	opt, err := redis.ParseURL(cfg.RedisURL)
	if err != nil {
		return nil, fmt.Errorf("redis url: %w", err)
	}
	opt.DialTimeout, opt.ReadTimeout, opt.WriteTimeout = timeout, timeout, timeout
	opt.ContextTimeoutEnabled = true
	opt.MaxRetries, opt.DialerRetries = -1, 1 // the guard decides when to try again
	opt.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	// go-redis has one logger for the whole process. It writes to standard error, in a format of
	// its own, for each connection that asynq or this package fails to open. Both report failures
	// themselves.
	logging.Disable()

	guard, err := redisguard.New(redisguard.Config{Subject: "redis", Timeout: timeout, RetryAfter: retryAfter, OnChange: func(reachable bool) {
		if reachable {
			cfg.Log.Info("redis can be reached again")
		} else {
			cfg.Log.Warn("redis cannot be reached; job progress is shown late, and each process limits its provider requests by itself")
		}
	}})
	if err != nil {
		return nil, err
	}
	l := &Store{
		redis:     redis.NewClient(opt),
		guard:     guard,
		timeout:   timeout,
		log:       cfg.Log,
		processID: uuid.NewString(),
		writers:   goroutine.NewGroup(),
		pending:   map[uuid.UUID]*pendingWrite{},
		closing:   make(chan struct{}),
	}
	l.hub.startPubSub = l.startPubSub
	return l, nil
}

// Close writes the pending reports, ends all watches and closes the connections.
func (l *Store) Close() error {
	l.mu.Lock()
	if l.isClosed() {
		l.mu.Unlock()
		return nil
	}
	close(l.closing)
	l.mu.Unlock()
	err := l.writers.Wait()
	return errors.Join(err, l.hub.close(), l.redis.Close())
}

func (l *Store) isClosed() bool {
	select {
	case <-l.closing:
		return true
	default:
		return false
	}
}

// Ping reports whether Redis answers.
func (l *Store) Ping(ctx context.Context) error {
	return l.guard.Try(ctx, l.timeout, "ping", func(ctx context.Context) error { return l.redis.Ping(ctx).Err() })
}

// jobKey returns the name of a job's hash and channel.
func jobKey(job uuid.UUID) string { return "job:" + job.String() }
