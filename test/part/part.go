// Package part gives programs that measure what tests have: a testing.TB, with
// which the helpers of tests make databases, buckets and the like, and remove
// them again.
package part

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
)

// Part is a part of a program's work. It has the methods of testing.TB that
// helpers of tests call; those that end a test end the part.
type Part struct {
	testing.TB // nil

	ctx  context.Context
	name string

	mu       sync.Mutex
	cleanups []func()
	errs     []error
}

// New returns a part that ends with Clean.
func New(ctx context.Context, name string) *Part { return &Part{ctx: ctx, name: name} }

// Run runs a part: what was made for it is removed when it ends. It returns the
// errors that were reported to it.
func Run(ctx context.Context, name string, run func(p *Part)) error {
	p := New(ctx, name)
	done := make(chan struct{})
	go func() { // which Fatal can end
		defer close(done)
		defer p.Clean()
		run(p)
	}()
	<-done
	return errors.Join(p.errs...)
}

// Clean removes what was made for the part, the last first.
func (p *Part) Clean() {
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

// Keep has what was made for the part until now stay.
func (p *Part) Keep() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cleanups = nil
}

// What follows are the methods of testing.TB that are in use.

func (p *Part) Helper()                  {}
func (p *Part) Name() string             { return p.name }
func (p *Part) Context() context.Context { return p.ctx }

func (p *Part) Cleanup(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cleanups = append(p.cleanups, f)
}

func (p *Part) Errorf(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.errs = append(p.errs, fmt.Errorf(format, args...))
}

func (p *Part) Fatalf(format string, args ...any) {
	p.Errorf(format, args...)
	runtime.Goexit()
}

func (p *Part) Fatal(args ...any) { p.Fatalf("%s", fmt.Sprint(args...)) }

func (p *Part) Skipf(format string, args ...any) { p.Fatalf(format, args...) }
