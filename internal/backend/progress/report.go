package progress

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/seed-7a112592/gristmill/internal/task"
)

// pendingWrite is the data of a job that its writer has not written yet.
type pendingWrite struct {
	tenant  string
	reports map[task.Kind]any // latest report of each task
	changed bool
	flush   chan struct{} // capacity 1: write without waiting for the interval
}

func (u *pendingWrite) isEmpty() bool { return len(u.reports) == 0 && !u.changed }

// ReportProgress reports progress, a document.KnowledgeProgress or SummaryProgress, of the task's
// attempt. It only stores the report in memory, in about a microsecond; the latest report is
// written soon after, a few times a second at most.
func (l *Store) ReportProgress(_ context.Context, work task.Work, progress any) {
	l.queueWrite(work.JobID, func(u *pendingWrite) {
		u.tenant = work.Tenant
		if u.reports == nil {
			u.reports = map[task.Kind]any{}
		}
		u.reports[work.Kind] = TaskProgress[any]{Attempt: work.Attempt, Progress: progress}
	})
}

// NotifyChange notifies the watchers of a job that its state has changed. Call it after the commit
// that changed it. It does not wait for Redis.
func (l *Store) NotifyChange(_ context.Context, job uuid.UUID) {
	l.queueWrite(job, func(u *pendingWrite) {
		u.changed = true
		select {
		case u.flush <- struct{}{}:
		default:
		}
	})
}

// queueWrite adds data to write for a job, and starts a writer if the job has none.
func (l *Store) queueWrite(job uuid.UUID, add func(*pendingWrite)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	u := l.pending[job]
	switch {
	case l.isClosed():
		return
	case u == nil:
		u = &pendingWrite{flush: make(chan struct{}, 1)}
		l.pending[job] = u
		l.writers.Go(func() error { l.writeLoop(job, u); return nil })
	}
	add(u)
}

// writeLoop writes the queued data of a job, and ends when nothing new was queued for an interval.
func (l *Store) writeLoop(job uuid.UUID, u *pendingWrite) {
	for {
		l.mu.Lock()
		if u.isEmpty() {
			delete(l.pending, job)
			l.mu.Unlock()
			return
		}
		tenant, reports := u.tenant, u.reports
		u.reports, u.changed = nil, false
		select {
		case <-u.flush: // the write below covers this request
		default:
		}
		l.mu.Unlock()

		// The guard logs a failure. The only loss is that watchers see the progress later.
		_ = l.guard.Do(context.Background(), "write progress", func(ctx context.Context) error {
			return l.writeAndPublish(ctx, jobKey(job), tenant, reports)
		})

		interval := time.NewTimer(writeInterval)
		select {
		case <-interval.C:
		case <-u.flush:
		case <-l.closing:
		}
		interval.Stop()
	}
}

// writeAndPublish writes reports and then publishes the change, in one round trip.
func (l *Store) writeAndPublish(ctx context.Context, key, tenant string, reports map[task.Kind]any) error {
	_, err := l.redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		for kind, report := range reports {
			value, err := json.Marshal(report)
			if err != nil {
				return fmt.Errorf("encode progress: %w", err)
			}
			p.HSet(ctx, key, "tenant", tenant, string(kind), value)
		}
		p.Expire(ctx, key, progressTTL)
		p.Publish(ctx, key, "")
		return nil
	})
	return err
}
