// Package queue carries tasks to workers, through asynq on Redis. It makes work
// happen sooner and knows nothing that is not in the database: a task may be
// lost, delivered twice, or run twice at once, and its handler claims it in
// the database first. There is a queue for each kind of task, named like it.
package queue

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/goroutine"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
)

const (
	dialTimeout = time.Second
	// callTimeout bounds what a caller waits for. asynq by itself dials up to
	// twenty times before it gives up.
	callTimeout = time.Second
	// skipAfterFailure is how long calls are skipped once one has failed.
	skipAfterFailure = time.Second
	// retryAfter is what callers are told when Redis cannot be reached.
	retryAfter = 5 * time.Second
)

// parseURL reads the address of Redis: redis://[user:password@]host:port[/db],
// or rediss:// for TLS.
func parseURL(address string) (asynq.RedisClientOpt, error) {
	parsed, err := asynq.ParseRedisURI(address)
	if err != nil {
		return asynq.RedisClientOpt{}, fmt.Errorf("redis url: %w", err)
	}
	opt, ok := parsed.(asynq.RedisClientOpt)
	if !ok {
		return asynq.RedisClientOpt{}, fmt.Errorf("redis url: want redis://[user:password@]host:port[/db], or rediss:// for TLS")
	}
	return opt, nil
}

// encodeTask makes asynq's task of a reference.
func encodeTask(ref task.Ref) (*asynq.Task, error) {
	payload, err := json.Marshal(ref)
	if err != nil {
		return nil, err
	}
	return asynq.NewTask(string(ref.Kind), payload), nil
}

// decodeTask is the inverse of encode; it refuses what encode cannot have made.
func decodeTask(row *asynq.Task) (task.Ref, error) {
	ref := task.Ref{Kind: task.Kind(row.Type())}
	if err := json.Unmarshal(row.Payload(), &ref); err != nil {
		return ref, err
	}
	if ref.DocumentID == uuid.Nil || ref.Version < 1 {
		return ref, fmt.Errorf("no document or no version")
	}
	return ref, tenant.Validate(ref.Tenant)
}

// callWithTimeout runs a call that asynq gives no context to. A call that is given up
// on ends by itself, when its own time-outs do.
func callWithTimeout(ctx context.Context, call func() error) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	done := goroutine.Start(call)
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// wrapUnavailable gives an error of Redis its kind, unless the caller has gone.
func wrapUnavailable(ctx context.Context, err error, operation string) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%s: %w", operation, err)
	if ctx.Err() != nil {
		return err
	}
	return fault.Wrap(fault.Unavailable, err, "the queue cannot be reached").WithRetryAfter(retryAfter)
}
