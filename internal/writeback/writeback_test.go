package writeback_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/writeback"
)

// callProvider returns the error that keeps a request from being sent.
func callProvider(ctx context.Context, breaker *writeback.Breaker) error {
	return breaker.CallProvider(ctx, func(context.Context) error { return nil })
}

var errFull = fault.New(fault.Unavailable, "the disk is full")

func TestWriteIsRetriedUntilItSucceeds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var breaker writeback.Breaker
		tries := 0
		err := breaker.RetryWrite(t.Context(), func(context.Context) error {
			if tries++; tries < 5 {
				return errFull
			}
			return nil
		})
		if err != nil || tries != 5 || callProvider(t.Context(), &breaker) != nil {
			t.Errorf("%d tries, %v; then the breaker returns %v", tries, err, callProvider(t.Context(), &breaker))
		}
	})
}

func TestBreakerIsOpenWhileWritesFail(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var breaker writeback.Breaker
		full := true
		write := func(context.Context) error {
			if full {
				return errFull
			}
			return nil
		}
		began := time.Now()
		if err := breaker.RetryWrite(t.Context(), write); !errors.Is(err, errFull) || time.Since(began) < 20*time.Second || time.Since(began) > time.Minute {
			t.Fatalf("gave up after %s with %v", time.Since(began), err)
		}
		refused := callProvider(t.Context(), &breaker)
		if f := fault.As(refused); f == nil || f.Kind != fault.Unavailable || f.RetryAfter == 0 || !errors.Is(refused, errFull) {
			t.Fatalf("got %v, want fault.Unavailable with the cause", refused)
		}
		// No write is retried now: after a while one request is let through as a probe.
		<-time.After(20 * time.Second) // fake clock
		if err := callProvider(t.Context(), &breaker); err != nil {
			t.Fatalf("no probe: %v", err)
		}
		if callProvider(t.Context(), &breaker) == nil {
			t.Fatal("two probes were let through")
		}
		full = false
		if err := breaker.RetryWrite(t.Context(), write); err != nil || callProvider(t.Context(), &breaker) != nil {
			t.Fatalf("%v; then the breaker returns %v", err, callProvider(t.Context(), &breaker))
		}
	})
}

// A request that waits at the open breaker is sent when the database is back.
func TestRequestsContinueWhenWritesSucceed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var breaker writeback.Breaker
		down := time.Now().Add(2 * time.Second)
		written := make(chan error, 1)
		go func() {
			written <- breaker.RetryWrite(t.Context(), func(context.Context) error {
				if time.Now().Before(down) {
					return errFull
				}
				return nil
			})
		}()
		synctest.Wait()
		if err := callProvider(t.Context(), &breaker); err != nil || time.Now().Before(down) {
			t.Errorf("sent at %s with %v, want after the database is back", time.Now(), err)
		}
		if err := <-written; err != nil {
			t.Error(err)
		}
		ended, end := context.WithCancel(t.Context())
		end()
		if breaker.RetryWrite(ended, func(context.Context) error { return errFull }); !errors.Is(callProvider(ended, &breaker), context.Canceled) {
			t.Error("the wait does not end with its context")
		}
	})
}

// A request whose turn comes while writes fail is not sent until they succeed again.
func TestQueuedRequestIsNotSentWhileWritesFail(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var breaker writeback.Breaker
		began := time.Now()
		var sent time.Time
		called := make(chan error, 1)
		go func() {
			called <- breaker.CallProvider(t.Context(), func(ctx context.Context) error {
				<-time.After(time.Second) // fake clock; the wait for its turn
				if err := writeback.CheckBeforeSend(ctx); err != nil {
					return fmt.Errorf("not sent: %w", err)
				}
				sent = time.Now()
				return nil
			})
		}()
		synctest.Wait()
		if err := breaker.RetryWrite(t.Context(), func(context.Context) error {
			if time.Since(began) < 4*time.Second {
				return errFull
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if err := <-called; err != nil || sent.Sub(began) < 4*time.Second {
			t.Errorf("sent after %s, %v; want after writes succeed", sent.Sub(began), err)
		}
		if err := writeback.CheckBeforeSend(t.Context()); err != nil {
			t.Errorf("a request outside CallProvider is refused: %v", err)
		}
	})
}

func TestWriteEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var breaker writeback.Breaker
		ctx, end := context.WithTimeout(t.Context(), time.Second)
		defer end()
		began := time.Now()
		if err := breaker.RetryWrite(ctx, func(context.Context) error { return errFull }); !errors.Is(err, errFull) || time.Since(began) > time.Second {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
	})
}

// A failure of one write that is not fault.Unavailable says nothing about other writes.
func TestOtherWriteFailuresAreNotRetried(t *testing.T) {
	t.Parallel()
	for _, want := range []error{errors.New("a defect"), fault.New(fault.LeaseLost, "lost"), fault.New(fault.Conflict, "deleted")} {
		var breaker writeback.Breaker
		tries := 0
		err := breaker.RetryWrite(t.Context(), func(context.Context) error { tries++; return want })
		if !errors.Is(err, want) || tries != 1 || callProvider(t.Context(), &breaker) != nil {
			t.Errorf("%d tries, %v; then the breaker returns %v", tries, err, callProvider(t.Context(), &breaker))
		}
	}
}

func TestBufferIsBounded(t *testing.T) {
	t.Parallel()
	buffer := writeback.NewBuffer[int, string](10)
	for i := range 5 {
		buffer.Put(i, "grain", 3)
		buffer.Put(i, "chaff", 3) // already held
	}
	for i, want := range []bool{false, false, true, true, true} {
		if value, held := buffer.Get(i); held != want || held && value != "grain" {
			t.Errorf("%d: %q %t", i, value, held)
		}
	}
	buffer.Delete(2)
	buffer.Delete(2)
	buffer.Put(5, "too much", 11)
	if buffer.Len() != 0 {
		t.Errorf("%d are held, want none: the last is larger than the buffer", buffer.Len())
	}
}
