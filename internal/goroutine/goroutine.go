// Package goroutine starts goroutines whose panics do not end the process: a panic becomes the
// error of the function, or a log line if no caller waits for it. All code that runs tasks or
// answers requests starts its goroutines here; test/arch enforces that.
package goroutine

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"

	"golang.org/x/sync/errgroup"

	"github.com/seed-7a112592/gristmill/internal/fault"
)

// PanicError is a recovered panic. Its text includes the stack and is for the log only.
type PanicError struct {
	Value any
	Stack []byte
}

// Error implements error.
func (p *PanicError) Error() string { return fmt.Sprintf("panic: %v\n%s", p.Value, p.Stack) }

// Try calls f. A panic in f becomes an error that wraps a *PanicError. Its kind is fault.Internal,
// because a panic is a defect; clients see no details of it.
func Try(f func() error) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = fault.Wrap(fault.Internal, &PanicError{value, debug.Stack()}, "its worker panicked; see the worker's log")
		}
	}()
	return f()
}

// Start runs f in a goroutine. The channel receives f's error once.
func Start(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- Try(f) }()
	return done
}

// Go runs f in a goroutine for which no caller waits. A panic is logged; what names the goroutine
// in the log.
func Go(log *slog.Logger, what string, f func()) {
	go runLogged(log, what, f)
}

// AfterFunc is context.AfterFunc with a log line for a panic in f.
func AfterFunc(ctx context.Context, log *slog.Logger, what string, f func()) (stop func() bool) {
	return context.AfterFunc(ctx, func() { runLogged(log, what, f) })
}

func runLogged(log *slog.Logger, what string, f func()) {
	if err := Try(func() error { f(); return nil }); err != nil {
		log.Error("goroutine panicked", "what", what, "error", err)
	}
}

// Group runs functions concurrently.
type Group struct{ *errgroup.Group }

// NewGroup returns a group whose functions are not cancelled when one fails.
func NewGroup() *Group { return &Group{new(errgroup.Group)} }

// WithContext returns a group and a context that is cancelled by the first error.
func WithContext(ctx context.Context) (*Group, context.Context) {
	group, ctx := errgroup.WithContext(ctx)
	return &Group{group}, ctx
}

// Go runs f in a goroutine, as soon as the group's limit allows it. A panic becomes its error.
func (g *Group) Go(f func() error) { g.Group.Go(func() error { return Try(f) }) }

// TryGo runs f like Go if the group's limit allows it immediately, and reports whether it did.
func (g *Group) TryGo(f func() error) bool {
	return g.Group.TryGo(func() error { return Try(f) })
}
