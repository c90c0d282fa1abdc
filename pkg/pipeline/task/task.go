// Package task runs the tasks of jobs, and reindexes: it claims one, keeps its
// lease, runs its step, and decides, in one place, what becomes of it.
package task

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
	"github.com/seed-7a112592/gristmill/pkg/goroutine"
	"github.com/seed-7a112592/gristmill/pkg/telemetry"
	"github.com/seed-7a112592/gristmill/pkg/tenant"
)

// Store hands out and settles work; see storetest.Tasks for the contract.
type Store interface {
	Claim(ctx context.Context, ref document.TaskRef, ttl time.Duration) (document.Work, error)
	Renew(ctx context.Context, work document.Work, ttl time.Duration) error
	Settle(ctx context.Context, work document.Work, outcome document.Outcome) error
}

// Step does the work of one kind of task. When it returns nil it has written
// the task's end itself, in the transaction that wrote its result.
type Step interface {
	Run(ctx context.Context, work document.Work) error
}

// Live is told that the state of a job, or of a reindex, has changed.
type Live interface {
	Changed(ctx context.Context, id uuid.UUID)
}

// Dispatcher puts into the queue what there is room for. It does not fail.
type Dispatcher interface {
	Dispatch(ctx context.Context)
}

const (
	// DefaultLease is how long a worker may be silent before its task is
	// given to another.
	DefaultLease = 30 * time.Second

	// renewInterval is how often a lease is renewed. That is also how a worker
	// finds out that its task was cancelled or given to another.
	renewInterval = time.Second

	// maxAttempts is after how many attempts a task that fails, or that
	// crashes its worker, is given up.
	maxAttempts = 3
)

// Runner runs tasks of one kind. It is safe for concurrent use.
type Runner struct {
	Store      Store
	Step       Step
	Live       Live
	Dispatcher Dispatcher
	Crashed    *CrashedLimit // of the process
	Metrics    *telemetry.Metrics
	Log        *slog.Logger
	Lease      time.Duration // DefaultLease, but for tests

	// HandBack is how long after the end of its context Run returns at the
	// latest. The step has half of it to heed the end of its own, and what it
	// does not need is there to write that the task waits.
	HandBack time.Duration

	met met // tenants whose tasks have been run
}

// Run runs one task, if it is there to be run, and returns after how long it
// should be delivered again: 0 for never. When ctx ends the task is handed
// back, which costs it no attempt.
func (r *Runner) Run(ctx context.Context, ref document.TaskRef) (again time.Duration) {
	ctx = tenant.With(ctx, ref.Tenant)
	ctx = telemetry.With(ctx, slog.String("tenant", ref.Tenant), slog.String(subject(ref.Kind), ref.Document.String()))
	longer, cancel := outlive(ctx, r.HandBack)
	defer cancel()
	work, err := r.Store.Claim(longer, ref, r.Lease)
	switch {
	case fault.Is(err, fault.NotFound):
		r.Log.DebugContext(ctx, "nothing to do", "task", ref.String(), "reason", err)
	case fault.Is(err, fault.Conflict):
		// The entry of that worker stays in the queue; if it is lost, the sweep
		// dispatches the task again.
		r.Log.DebugContext(ctx, "another worker holds the lease", "task", ref.String())
		return 0
	case err != nil:
		r.Log.DebugContext(ctx, "task not claimed", "task", ref.String(), "error", err)
		return retryAfter(err, firstBackoff)
	default:
		if ref.Kind != document.Reindexing {
			ctx = telemetry.With(ctx, slog.String("job", work.Job.String()))
		}
		if r.met.first(ref.Tenant) {
			// We may just have come, and windows are wider for it.
			r.Dispatcher.Dispatch(ctx)
		}
		again = r.settle(ctx, longer, work, r.attempt(ctx, work))
	}
	if again == 0 && ctx.Err() == nil {
		r.Dispatcher.Dispatch(ctx) // what there is room for now
	}
	return again
}

// met remembers tenants. Its zero value is ready to use.
type met struct {
	mu  sync.Mutex
	ids map[string]bool
}

// maxMet is how many tenants are remembered: of more, all are met anew.
const maxMet = 1000

// first reports whether a tenant is met for the first time.
func (m *met) first(id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ids[id] {
		return false
	}
	if m.ids == nil {
		m.ids = map[string]bool{}
	}
	if len(m.ids) >= maxMet {
		clear(m.ids)
	}
	m.ids[id] = true
	return true
}

// subject returns what a task of the kind names as its document.
func subject(kind document.TaskKind) string {
	if kind == document.Reindexing {
		return "reindex"
	}
	return "document"
}

// outlive returns a context that ends d after ctx does, for what is to be done
// when ctx has ended.
func outlive(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	goroutine.Start(func() error {
		select {
		case <-ctx.Done():
		case <-longer.Done():
			return nil
		}
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-longer.Done():
		}
		return nil
	})
	return longer, cancel
}
