// Package goroutine starts goroutines that cannot take their process down: a
// panic in one is an error for its caller, or is logged where nobody waits for
// it. Everything that runs tasks or answers requests starts its
// goroutines here; test/arch holds it to that.
package goroutine

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"

	"golang.org/x/sync/errgroup"

	"github.com/seed-7a112592/gristmill/internal/fault"
)

// PanicError is what a panic left behind. Its text, with the stack, is for the log.
type PanicError struct {
	Value any
	Stack []byte
}

// Error implements error.
func (p *PanicError) Error() string { return fmt.Sprintf("panic: %v\n%s", p.Value, p.Stack) }

// Try calls f. A panic in it is its error, which wraps a *Panic and is
// fault.Internal: a defect, of which clients are told no more than that.
func Try(f func() error) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = fault.Wrap(fault.Internal, &PanicError{value, debug.Stack()}, "its worker panicked; see the worker's log")
		}
	}()
	return f()
}

// Start runs f in a goroutine. The channel yields its error, once.
func Start(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- Try(f) }()
	return done
}

// Go runs f in a goroutine that nobody waits for. A panic is logged.
func Go(log *slog.Logger, what string, f func()) {
	go runLogged(log, what, f)
}

// AfterFunc is context.AfterFunc. A panic of f is logged.
func AfterFunc(ctx context.Context, log *slog.Logger, what string, f func()) (stop func() bool) {
	return context.AfterFunc(ctx, func() { runLogged(log, what, f) })
}

func runLogged(log *slog.Logger, what string, f func()) {
	if err := Try(func() error { f(); return nil }); err != nil {
		log.Error("goroutine panicked", "what", what, "error", err)
	}
}

// Group runs functions side by side.
type Group struct{ *errgroup.Group }

// NewGroup returns a group that cancels nothing.
func NewGroup() *Group { return &Group{new(errgroup.Group)} }

// WithContext returns a group and a context that ends with the first error.
func WithContext(ctx context.Context) (*Group, context.Context) {
	group, ctx := errgroup.WithContext(ctx)
	return &Group{group}, ctx
}

// Go runs f in a goroutine, once there is room for it. A panic is its error.
func (g *Group) Go(f func() error) { g.Group.Go(func() error { return Try(f) }) }

// TryGo is Go, if there is room at once. It reports whether there was.
func (g *Group) TryGo(f func() error) bool {
	return g.Group.TryGo(func() error { return Try(f) })
}
