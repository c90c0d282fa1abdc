// Package task runs the tasks of jobs, and reindexes: it claims one, keeps its
// lease, runs its step, and decides, in one place, what becomes of it.
package worker

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/goroutine"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/telemetry"
)

// Store hands out and settles work; see storetest.Tasks for the contract.
type Store interface {
	Claim(ctx context.Context, ref task.Ref, ttl time.Duration) (task.Work, error)
	RenewLease(ctx context.Context, work task.Work, ttl time.Duration) error
	RecordOutcome(ctx context.Context, work task.Work, outcome task.Outcome) error
}

// Step does the work of one kind of task. When it returns nil it has written
// the task's end itself, in the transaction that wrote its result.
type Step interface {
	Run(ctx context.Context, work task.Work) error
}

// ChangeNotifier is told that the state of a job, or of a reindex, has changed.
type ChangeNotifier interface {
	NotifyChange(ctx context.Context, id uuid.UUID)
}

// Dispatcher puts into the queue what there is room for. It does not fail.
type Dispatcher interface {
	Dispatch(ctx context.Context)
}

const (
	// DefaultLeaseTTL is how long a worker may be silent before its task is
	// given to another.
	DefaultLeaseTTL = 30 * time.Second

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
	Changes    ChangeNotifier
	Dispatcher Dispatcher
	CrashLane  *CrashLane // of the process
	Metrics    *telemetry.Metrics
	Log        *slog.Logger
	LeaseTTL   time.Duration // DefaultLease, but for tests

	// DrainTimeout is how long after the end of its context Run returns at the
	// latest. The step has half of it to heed the end of its own, and what it
	// does not need is there to write that the task waits.
	DrainTimeout time.Duration

	seen seenTenants // tenants whose tasks have been run
}

// Run runs one task, if it is there to be run, and returns after how long it
// should be delivered again: 0 for never. When ctx ends the task is handed
// back, which costs it no attempt.
func (r *Runner) Run(ctx context.Context, ref task.Ref) (again time.Duration) {
	ctx = telemetry.WithTenant(ctx, ref.Tenant)
	ctx = telemetry.WithLogAttrs(ctx, slog.String(idLogKey(ref.Kind), ref.DocumentID.String()))
	longer, cancel := withGrace(ctx, r.DrainTimeout)
	defer cancel()
	work, err := r.Store.Claim(longer, ref, r.LeaseTTL)
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
		return retryAfterOr(err, firstBackoff)
	default:
		if ref.Kind != task.KindReindex {
			ctx = telemetry.WithLogAttrs(ctx, slog.String("job", work.JobID.String()))
		}
		if r.seen.add(ref.Tenant) {
			// We may just have come, and windows are wider for it.
			r.Dispatcher.Dispatch(ctx)
		}
		again = r.finishAttempt(ctx, longer, work, r.runAttempt(ctx, work))
	}
	if again == 0 && ctx.Err() == nil {
		r.Dispatcher.Dispatch(ctx) // what there is room for now
	}
	return again
}

// seenTenants remembers tenants. Its zero value is ready to use.
type seenTenants struct {
	mu  sync.Mutex
	ids map[string]bool
}

// maxSeenTenants is how many tenants are remembered: of more, all are met anew.
const maxSeenTenants = 1000

// add reports whether a tenant is met for the first time.
func (m *seenTenants) add(id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ids[id] {
		return false
	}
	if m.ids == nil {
		m.ids = map[string]bool{}
	}
	if len(m.ids) >= maxSeenTenants {
		clear(m.ids)
	}
	m.ids[id] = true
	return true
}

// idLogKey returns what a task of the kind names as its document.
func idLogKey(kind task.Kind) string {
	if kind == task.KindReindex {
		return "reindex"
	}
	return "document"
}

// withGrace returns a context that ends d after ctx does, for what is to be done
// when ctx has ended.
func withGrace(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
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
