// Package queue delivers tasks to workers, through asynq on Redis. The queue makes work start
// sooner and holds nothing that is not in the database: a task may be lost, delivered twice, or run
// twice concurrently, so its handler claims it in the database first. Each kind of task has a
// queue, which has the name of the kind.
package queue

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"

	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
)

const (
	dialTimeout = time.Second
	// callTimeout bounds the wait of a caller. asynq by itself dials up to twenty times before it
	// gives up.
	callTimeout = time.Second
	// retryAfter is the wait that callers are asked for when Redis cannot be reached.
	retryAfter = 5 * time.Second
)

// parseURL parses the address of Redis: redis://[user:password@]host:port[/db], or rediss:// for
// TLS.
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

// encodeTask returns the asynq task of a reference.
func encodeTask(ref task.Ref) (*asynq.Task, error) {
	payload, err := json.Marshal(ref)
	if err != nil {
		return nil, err
	}
	return asynq.NewTask(string(ref.Kind), payload), nil
}

// decodeTask is the inverse of encodeTask. It rejects tasks that encodeTask cannot have made.
func decodeTask(row *asynq.Task) (task.Ref, error) {
	ref := task.Ref{Kind: task.Kind(row.Type())}
	if err := json.Unmarshal(row.Payload(), &ref); err != nil {
		return ref, err
	}
	if ref.DocumentID == uuid.Nil || ref.Version < 1 {
		return ref, fmt.Errorf("task has no document or no version")
	}
	return ref, tenant.Validate(ref.Tenant)
}
