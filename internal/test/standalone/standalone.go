// Package part gives programs that measure what tests have: a testing.TB, with
// which the helpers of tests make databases, buckets and the like, and remove
// them again.
package standalone

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
)

// TB is a part of a program's work. It has the methods of testing.TB that
// helpers of tests call; those that end a test end the part.
type TB struct {
	testing.TB // nil

	ctx  context.Context
	name string

	mu       sync.Mutex
	cleanups []func()
	errs     []error
}

// New returns a part that ends with Clean.
func New(ctx context.Context, name string) *TB { return &TB{ctx: ctx, name: name} }

// Run runs a part: what was made for it is removed when it ends. It returns the
// errors that were reported to it.
func Run(ctx context.Context, name string, run func(p *TB)) error {
	p := New(ctx, name)
	done := make(chan struct{})
	go func() { // which Fatal can end
		defer close(done)
		defer p.RunCleanups()
		run(p)
	}()
	<-done
	return errors.Join(p.errs...)
}

// RunCleanups removes what was made for the part, the last first.
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

// DiscardCleanups has what was made for the part until now stay.
func (p *TB) DiscardCleanups() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cleanups = nil
}

// What follows are the methods of testing.TB that are in use.

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
