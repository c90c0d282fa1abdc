package live

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// unwritten is what a job's writer has still to write.
type unwritten struct {
	tenant  string
	reports map[document.TaskKind]any // the last of each task
	changed bool
	now     chan struct{} // of one: write without waiting for the interval
}

func (u *unwritten) empty() bool { return len(u.reports) == 0 && !u.changed }

// Report makes progress, a document.KnowledgeProgress or SummaryProgress, that
// of the task and its attempt. It only notes it down, in about a microsecond:
// what was noted last is written soon, a few times a second at most.
func (l *Live) Report(_ context.Context, work document.Work, progress any) {
	l.note(work.Job, func(u *unwritten) {
		u.tenant = work.Tenant
		if u.reports == nil {
			u.reports = map[document.TaskKind]any{}
		}
		u.reports[work.Kind] = Task[any]{Attempt: work.Attempt, Progress: progress}
	})
}

// Changed tells the watchers of a job that its state has changed. Call it after
// the commit that changed it. It does not wait for Redis.
func (l *Live) Changed(_ context.Context, job uuid.UUID) {
	l.note(job, func(u *unwritten) {
		u.changed = true
		select {
		case u.now <- struct{}{}:
		default:
		}
	})
}

// note adds to what is unwritten about a job, and sees that it has a writer.
func (l *Live) note(job uuid.UUID, add func(*unwritten)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	u := l.jobs[job]
	switch {
	case l.closed():
		return
	case u == nil:
		u = &unwritten{now: make(chan struct{}, 1)}
		l.jobs[job] = u
		l.writers.Go(func() error { l.write(job, u); return nil })
	}
	add(u)
}

// write writes what is noted about a job, and ends when nothing new has been
// noted for an interval.
func (l *Live) write(job uuid.UUID, u *unwritten) {
	for {
		l.mu.Lock()
		if u.empty() {
			delete(l.jobs, job)
			l.mu.Unlock()
			return
		}
		tenant, reports := u.tenant, u.reports
		u.reports, u.changed = nil, false
		select {
		case <-u.now: // asked for what is written here
		default:
		}
		l.mu.Unlock()

		// A failure is logged by the breaker. Nothing is lost but freshness.
		_ = l.call(context.Background(), func(ctx context.Context) error {
			return l.send(ctx, key(job), tenant, reports)
		})

		interval := time.NewTimer(writeInterval)
		select {
		case <-interval.C:
		case <-u.now:
		case <-l.closing:
		}
		interval.Stop()
	}
}

// send writes reports and then tells of them, in one round trip.
func (l *Live) send(ctx context.Context, key, tenant string, reports map[document.TaskKind]any) error {
	_, err := l.redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		for kind, report := range reports {
			value, err := json.Marshal(report)
			if err != nil {
				return fmt.Errorf("encode progress: %w", err)
			}
			p.HSet(ctx, key, "tenant", tenant, string(kind), value)
		}
		p.Expire(ctx, key, lifetime)
		p.Publish(ctx, key, "")
		return nil
	})
	return err
}
