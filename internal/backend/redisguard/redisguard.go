// Package redisguard makes calls to Redis that are bounded in time, and skips calls for a second
// after a failed one. So a Redis that hangs delays one caller a second, not all callers.
package redisguard

import (
	"context"
	"fmt"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/goroutine"
	"github.com/seed-7a112592/gristmill/internal/required"
)

// skipAfterFailure is how long calls are skipped after a failed call.
const skipAfterFailure = time.Second

// Config configures a guard.
type Config struct {
	Subject    string        // subject of errors that clients see, such as "the queue"
	Timeout    time.Duration // of each call
	RetryAfter time.Duration // wait that is asked for in the error of a failed call

	// OnChange is called when Redis cannot be reached, and when it can be reached again.
	OnChange func(reachable bool) `zero:"ok"`
}

// Guard makes the calls of one client. It is safe for concurrent use.
type Guard struct {
	config  Config
	breaker circuitbreaker.CircuitBreaker[any]
}

// New returns a guard, or an error that names what config lacks.
func New(config Config) (*Guard, error) {
	if err := required.Fields(config); err != nil {
		return nil, err
	}
	builder := circuitbreaker.NewBuilder[any]().WithFailureThreshold(1).WithDelay(skipAfterFailure)
	if config.OnChange != nil {
		builder = builder.OnStateChanged(func(e circuitbreaker.StateChangedEvent) {
			switch circuitbreaker.ClosedState {
			case e.OldState:
				config.OnChange(false)
			case e.NewState:
				config.OnChange(true)
			}
		})
	}
	return &Guard{config, builder.Build()}, nil
}

// Do makes a call, unless one has just failed. If Redis cannot be reached, it returns
// fault.Unavailable. If ctx has ended, it returns the error of the call, which then says nothing
// about Redis.
func (g *Guard) Do(ctx context.Context, operation string, call func(context.Context) error) error {
	if !g.breaker.TryAcquirePermit() {
		return fault.New(fault.Unavailable, "%s could not be reached a moment ago", g.config.Subject).WithRetryAfter(skipAfterFailure)
	}
	err := g.Try(ctx, g.config.Timeout, operation, call)
	if err == nil || ctx.Err() != nil {
		g.breaker.RecordSuccess()
	} else {
		g.breaker.RecordFailure()
	}
	return err
}

// Try is Do for a call that is made even if one has just failed, and whose failure makes no other
// call be skipped. It has a timeout of its own.
func (g *Guard) Try(ctx context.Context, timeout time.Duration, operation string, call func(context.Context) error) error {
	bounded, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := call(bounded)
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%s: %w", operation, err)
	if ctx.Err() != nil {
		return err
	}
	return fault.Wrap(fault.Unavailable, err, "%s cannot be reached", g.config.Subject).WithRetryAfter(g.config.RetryAfter)
}

// IsSkipping reports whether calls are skipped now.
func (g *Guard) IsSkipping() bool { return g.breaker.RemainingDelay() > 0 }

// Abandon runs a call that takes no context, and returns when the call or ctx ends. A call that is
// abandoned goes on until it ends by its own timeouts.
func Abandon(ctx context.Context, call func() error) error {
	done := goroutine.Start(call)
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
