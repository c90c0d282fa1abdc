package redisguard_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-7a112592/gristmill/internal/backend/redisguard"
	"github.com/seed-7a112592/gristmill/internal/fault"
)

var (
	errRefused = errors.New("connection refused")

	succeed = func(context.Context) error { return nil }
	refuse  = func(context.Context) error { return errRefused }
	hang    = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
)

// newGuard returns a guard with a timeout of 300 ms, and a function that returns what OnChange was
// called with.
func newGuard(t *testing.T) (*redisguard.Guard, func() []bool) {
	t.Helper()
	var changes []bool
	g, err := redisguard.New(redisguard.Config{
		Subject: "redis", Timeout: 300 * time.Millisecond, RetryAfter: 5 * time.Second,
		OnChange: func(reachable bool) { changes = append(changes, reachable) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return g, func() []bool { return changes }
}

func wantUnavailable(t *testing.T, err error, retryAfter time.Duration, text string) {
	t.Helper()
	f := fault.As(err)
	if f == nil || f.Kind != fault.Unavailable || f.RetryAfter != retryAfter || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v, want %s with RetryAfter %s and %q", err, fault.Unavailable, retryAfter, text)
	}
}

func TestCallsAreSkippedAfterAFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, changes := newGuard(t)
		if err := g.Do(t.Context(), "get", succeed); err != nil || g.IsSkipping() {
			t.Fatalf("Do = %v, skipping %t; want success", err, g.IsSkipping())
		}
		for range 2 {
			err := g.Do(t.Context(), "get", refuse)
			wantUnavailable(t, err, 5*time.Second, "redis cannot be reached: get: connection refused")
			if !errors.Is(err, errRefused) || !g.IsSkipping() {
				t.Errorf("Do = %v, skipping %t; want the cause, and later calls to be skipped", err, g.IsSkipping())
			}
			called := false
			err = g.Do(t.Context(), "get", func(context.Context) error { called = true; return nil })
			wantUnavailable(t, err, time.Second, "redis could not be reached a moment ago")
			if called {
				t.Error("a call was made just after a failed one")
			}
			<-time.After(time.Second + time.Millisecond) // fake clock
		}
		if err := g.Do(t.Context(), "get", succeed); err != nil {
			t.Errorf("Do = %v after a second, want success", err)
		}
		if want := []bool{false, true}; !slices.Equal(changes(), want) {
			t.Errorf("changes %v, want %v: one outage", changes(), want)
		}
	})
}

func TestCallIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, _ := newGuard(t)
		start := time.Now()
		wantUnavailable(t, g.Do(t.Context(), "get", hang), 5*time.Second, context.DeadlineExceeded.Error())
		if took := time.Since(start); took != 300*time.Millisecond {
			t.Errorf("the call took %s, want 300 ms", took)
		}
	})
}

// The end of the caller's context says nothing about Redis.
func TestCallerThatLeavesIsNoFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, changes := newGuard(t)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if err := g.Do(ctx, "get", hang); !errors.Is(err, context.DeadlineExceeded) || fault.As(err) != nil {
			t.Errorf("Do = %v, want the error of the context without a kind", err)
		}
		if g.IsSkipping() || len(changes()) > 0 {
			t.Errorf("skipping %t, changes %v; want neither", g.IsSkipping(), changes())
		}
	})
}

func TestTryIsNotSkippedAndSkipsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, changes := newGuard(t)
		start := time.Now()
		wantUnavailable(t, g.Try(t.Context(), time.Minute, "ping", hang), 5*time.Second, "redis cannot be reached: ping")
		if took := time.Since(start); took != time.Minute {
			t.Errorf("the call took %s, want its own timeout of a minute", took)
		}
		if g.IsSkipping() || len(changes()) > 0 {
			t.Errorf("skipping %t, changes %v; want neither", g.IsSkipping(), changes())
		}
		_ = g.Do(t.Context(), "get", refuse)
		if err := g.Try(t.Context(), time.Minute, "ping", succeed); err != nil {
			t.Errorf("Try = %v just after a failed call, want success", err)
		}
	})
}

func TestAbandon(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		if err := redisguard.Abandon(t.Context(), func() error { return errRefused }); !errors.Is(err, errRefused) {
			t.Errorf("Abandon = %v, want the error of the call", err)
		}
		if err := redisguard.Abandon(t.Context(), func() error { panic("x") }); !fault.Is(err, fault.Internal) || err == nil {
			t.Errorf("Abandon = %v, want the panic as an error", err)
		}
		ended := make(chan struct{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		err := redisguard.Abandon(ctx, func() error {
			defer close(ended)
			<-time.After(time.Minute) // fake clock
			return nil
		})
		if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took != time.Second {
			t.Errorf("Abandon = %v after %s, want the end of the context after a second", err, took)
		}
		<-ended
		if took := time.Since(start); took != time.Minute {
			t.Errorf("the abandoned call ended after %s, want a minute", took)
		}
	})
}

func TestNewNeedsACompleteConfig(t *testing.T) {
	t.Parallel()
	_, err := redisguard.New(redisguard.Config{RetryAfter: time.Second})
	if err == nil || !strings.Contains(err.Error(), "missing Subject, Timeout") {
		t.Errorf("New = %v, want an error that names the missing fields", err)
	}
}
