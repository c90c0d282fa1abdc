// Package standalone provides a testing.TB to programs that measure, so that they can use test
// helpers: the helpers create databases, buckets and the like, and remove them afterwards.
package standalone

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
)

// TB stands for one part of a program's work. It implements the methods of testing.TB that test
// helpers call. Those that end a test end the part.
type TB struct {
	testing.TB // nil: a method that is not implemented below panics

	ctx  context.Context
	name string

	mu       sync.Mutex
	cleanups []func()
	errs     []error
}

// New returns a TB. The caller must call RunCleanups at the end.
func New(ctx context.Context, name string) *TB { return &TB{ctx: ctx, name: name} }

// Run runs a part and its cleanups. Returns the errors that were reported to the TB.
func Run(ctx context.Context, name string, run func(p *TB)) error {
	p := New(ctx, name)
	done := make(chan struct{})
	go func() { // Fatal ends this goroutine
		defer close(done)
		defer p.RunCleanups()
		run(p)
	}()
	<-done
	return errors.Join(p.errs...)
}

// RunCleanups runs the cleanup functions, the last registered first.
func (p *TB) RunCleanups() {
	for {
		p.mu.Lock()
		n := len(p.cleanups)
		if n == 0 {
			p.mu.Unlock()
			return
		}
		last := p.cleanups[n-1]
		p.cleanups = p.cleanups[:n-1]
		p.mu.Unlock()
		last()
	}
}

// DiscardCleanups forgets the cleanup functions registered so far, so what they would remove stays.
func (p *TB) DiscardCleanups() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cleanups = nil
}

// The following methods are the part of testing.TB that is in use.

func (p *TB) Helper()                  {}
func (p *TB) Name() string             { return p.name }
func (p *TB) Context() context.Context { return p.ctx }

func (p *TB) Cleanup(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cleanups = append(p.cleanups, f)
}

func (p *TB) Errorf(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.errs = append(p.errs, fmt.Errorf(format, args...))
}

func (p *TB) Fatalf(format string, args ...any) {
	p.Errorf(format, args...)
	runtime.Goexit()
}

func (p *TB) Fatal(args ...any) { p.Fatalf("%s", fmt.Sprint(args...)) }

func (p *TB) Skipf(format string, args ...any) { p.Fatalf(format, args...) }
