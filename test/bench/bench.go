package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/seed-7a112592/gristmill/test/program"
)

// bench is what a figure is measured with. To the helpers of tests, which make
// databases, buckets and the like, it is a testing.TB: it has the methods that
// they call. Those that end a test end the part that is being measured.
type bench struct {
	testing.TB // nil

	ctx    context.Context
	runs   int
	base   string // commit to compare with
	missed *bool  // a bound was

	mu       sync.Mutex
	cleanups []func()
	errs     []error
}

func newBench(ctx context.Context, runs int, base string) *bench {
	b := &bench{ctx: ctx, runs: runs, base: base, missed: new(bool)}
	b.Cleanup(program.Remove)
	return b
}

// part measures a part of b with a bench of its own: what was made for it is
// removed when it ends.
func (b *bench) part(measure func(b *bench)) error {
	p := &bench{ctx: b.ctx, runs: b.runs, base: b.base, missed: b.missed}
	done := make(chan struct{})
	go func() { // which Fatal can end
		defer close(done)
		defer p.clean()
		measure(p)
	}()
	<-done
	return errors.Join(p.errs...)
}

// must is part for one whose failure is b's.
func (b *bench) must(measure func(b *bench)) {
	if err := b.part(measure); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) clean() {
	for {
		b.mu.Lock()
		n := len(b.cleanups)
		if n == 0 {
			b.mu.Unlock()
			return
		}
		last := b.cleanups[n-1]
		b.cleanups = b.cleanups[:n-1]
		b.mu.Unlock()
		last()
	}
}

// What follows are the methods of testing.TB that are in use.

func (b *bench) Helper()                  {}
func (b *bench) Name() string             { return "bench" }
func (b *bench) Context() context.Context { return b.ctx }

func (b *bench) Cleanup(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cleanups = append(b.cleanups, f)
}

func (b *bench) Errorf(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.errs = append(b.errs, fmt.Errorf(format, args...))
}

func (b *bench) Fatalf(format string, args ...any) {
	b.Errorf(format, args...)
	runtime.Goexit()
}

func (b *bench) Fatal(args ...any) { b.Fatalf("%s", fmt.Sprint(args...)) }

func (b *bench) Skipf(format string, args ...any) { b.Fatalf(format, args...) }
