// Package worker runs the tasks of jobs, and reindexes: it claims a task, keeps its lease, runs its
// step, and decides how the task goes on. It also recovers the tasks of workers that have died.
package worker

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/goroutine"
	"github.com/seed-7a112592/gristmill/internal/required"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/telemetry"
)

// Store holds the tasks; see storetest.Tasks for the contract.
type Store interface {
	Claim(ctx context.Context, ref task.Ref, ttl time.Duration) (task.Work, error)
	RenewLease(ctx context.Context, work task.Work, ttl time.Duration) error
	RecordOutcome(ctx context.Context, work task.Work, outcome task.Outcome) error
}

// Step does the work of one kind of task. If it returns nil, it has recorded the task's success
// itself, in the transaction that wrote the result.
type Step interface {
	Run(ctx context.Context, work task.Work) error
}

// ChangeNotifier is notified that the state of a job or a reindex has changed.
type ChangeNotifier interface {
	NotifyChange(ctx context.Context, id uuid.UUID)
}

// Dispatcher puts tasks into the queue while there is room. It does not fail.
type Dispatcher interface {
	Dispatch(ctx context.Context)
}

const (
	// DefaultLeaseTTL is how long a worker may fail to renew a lease before another one may claim
	// the task.
	DefaultLeaseTTL = 30 * time.Second

	// renewInterval is the time between two renewals of a lease. A renewal is also how a worker
	// notices that its task was cancelled or claimed by another worker.
	renewInterval = time.Second

	// maxAttempts is the maximum number of attempts at a task, including those that crashed their
	// worker.
	maxAttempts = 3
)

// RunnerConfig is what a Runner needs.
type RunnerConfig struct {
	Store      Store
	Step       Step
	Changes    ChangeNotifier
	Dispatcher Dispatcher
	CrashLane  *CrashLane // shared by all runners of the process
	Metrics    *telemetry.Metrics
	Log        *slog.Logger
	LeaseTTL   time.Duration // DefaultLeaseTTL, except in tests

	// DrainTimeout is the maximum time that Run takes to return after its context has ended. The
	// step has half of it to return. The rest, and what the step does not use, is for recording
	// that the task waits.
	DrainTimeout time.Duration
}

// Runner runs tasks of one kind. It is safe for concurrent use.
type Runner struct {
	RunnerConfig
	seen seenTenants // tenants of the tasks that have been run
}

// NewRunner returns a Runner, or an error that names what config lacks.
func NewRunner(config RunnerConfig) (*Runner, error) {
	if err := required.Fields(config); err != nil {
		return nil, err
	}
	return &Runner{RunnerConfig: config}, nil
}

// Run claims and runs the task, and returns the delay before redelivery, 0 for none. When ctx ends,
// the task is returned to the queue, which uses up no attempt.
func (r *Runner) Run(ctx context.Context, ref task.Ref) (redeliver time.Duration) {
	ctx = telemetry.WithTenant(ctx, ref.Tenant)
	ctx = telemetry.WithLogAttrs(ctx, slog.String(idLogKey(ref.Kind), ref.DocumentID.String()))
	draining, cancel := withGrace(ctx, r.DrainTimeout)
	defer cancel()
	work, err := r.Store.Claim(draining, ref, r.LeaseTTL)
	switch {
	case fault.Is(err, fault.NotFound):
		r.Log.DebugContext(ctx, "nothing to do", "task", ref.String(), "reason", err)
	case fault.Is(err, fault.Conflict):
		// The other worker's queue entry stays in the queue. If it is lost, the sweep dispatches the
		// task again.
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
			// This worker may be new and may have made the tenant's dispatch window wider.
			r.Dispatcher.Dispatch(ctx)
		}
		redeliver = r.finishAttempt(ctx, draining, work, r.runAttempt(ctx, work))
	}
	if redeliver == 0 && ctx.Err() == nil {
		r.Dispatcher.Dispatch(ctx) // the window has room now
	}
	return redeliver
}

// seenTenants is a bounded set of tenants. Its zero value is empty.
type seenTenants struct {
	mu  sync.Mutex
	ids map[string]bool
}

// maxSeenTenants is the maximum number of tenants in the set. When it is reached, the set is cleared.
const maxSeenTenants = 1000

// add adds a tenant, and reports whether it was not in the set.
func (s *seenTenants) add(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ids[id] {
		return false
	}
	if s.ids == nil {
		s.ids = map[string]bool{}
	}
	if len(s.ids) >= maxSeenTenants {
		clear(s.ids)
	}
	s.ids[id] = true
	return true
}

// idLogKey returns the log key for the DocumentID of a task of the kind.
func idLogKey(kind task.Kind) string {
	if kind == task.KindReindex {
		return "reindex"
	}
	return "document"
}

// withGrace returns a context that ends d after ctx does, for work that must be done after ctx has
// ended.
func withGrace(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	grace, cancel := context.WithCancel(context.WithoutCancel(ctx))
	goroutine.Start(func() error {
		select {
		case <-ctx.Done():
		case <-grace.Done():
			return nil
		}
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-grace.Done():
		}
		return nil
	})
	return grace, cancel
}
