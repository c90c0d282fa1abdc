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

// callProvider reports what keeps a request from being sent.
func callProvider(ctx context.Context, gate *writeback.Breaker) error {
	return gate.CallProvider(ctx, func(context.Context) error { return nil })
}

var errFull = fault.New(fault.Unavailable, "the disk is full")

func TestWriteIsTriedAgainUntilItSucceeds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var gate writeback.Breaker
		tries := 0
		err := gate.RetryWrite(t.Context(), func(context.Context) error {
			if tries++; tries < 5 {
				return errFull
			}
			return nil
		})
		if err != nil || tries != 5 || callProvider(t.Context(), &gate) != nil {
			t.Errorf("%d tries, %v; then the gate says %v", tries, err, callProvider(t.Context(), &gate))
		}
	})
}

func TestNothingIsBoughtWhileWritesFail(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var gate writeback.Breaker
		full := true
		write := func(context.Context) error {
			if full {
				return errFull
			}
			return nil
		}
		began := time.Now()
		if err := gate.RetryWrite(t.Context(), write); !errors.Is(err, errFull) || time.Since(began) < 20*time.Second || time.Since(began) > time.Minute {
			t.Fatalf("given up after %s with %v", time.Since(began), err)
		}
		refused := callProvider(t.Context(), &gate)
		if f := fault.As(refused); f == nil || f.Kind != fault.Unavailable || f.RetryAfter == 0 || !errors.Is(refused, errFull) {
			t.Fatalf("got %v, want a wait that says why", refused)
		}
		// Nobody tries again: now and then one purchase shows how things are.
		<-time.After(20 * time.Second) // of the bubble's clock
		if err := callProvider(t.Context(), &gate); err != nil {
			t.Fatalf("no probe: %v", err)
		}
		if callProvider(t.Context(), &gate) == nil {
			t.Fatal("two probes at once")
		}
		full = false
		if err := gate.RetryWrite(t.Context(), write); err != nil || callProvider(t.Context(), &gate) != nil {
			t.Fatalf("%v; then the gate says %v", err, callProvider(t.Context(), &gate))
		}
	})
}

// A request that waits at the gate goes on when the database is back.
func TestRequestsGoOnWhenWritesSucceed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var gate writeback.Breaker
		down := time.Now().Add(2 * time.Second)
		written := make(chan error, 1)
		go func() {
			written <- gate.RetryWrite(t.Context(), func(context.Context) error {
				if time.Now().Before(down) {
					return errFull
				}
				return nil
			})
		}()
		synctest.Wait()
		if err := callProvider(t.Context(), &gate); err != nil || time.Now().Before(down) {
			t.Errorf("entered at %s with %v, want when the database is back", time.Now(), err)
		}
		if err := <-written; err != nil {
			t.Error(err)
		}
		ended, end := context.WithCancel(t.Context())
		end()
		if gate.RetryWrite(ended, func(context.Context) error { return errFull }); !errors.Is(callProvider(ended, &gate), context.Canceled) {
			t.Error("a wait at the gate does not end with its context")
		}
	})
}

// A request that waits for its turn while writes begin to fail is not sent until
// they succeed again.
func TestRequestIsNotSentWhenItsTurnComesTooLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var gate writeback.Breaker
		began := time.Now()
		var sent time.Time
		bought := make(chan error, 1)
		go func() {
			bought <- gate.CallProvider(t.Context(), func(ctx context.Context) error {
				<-time.After(time.Second) // of the bubble's clock: its turn
				if err := writeback.CheckBeforeSend(ctx); err != nil {
					return fmt.Errorf("not sent: %w", err)
				}
				sent = time.Now()
				return nil
			})
		}()
		synctest.Wait()
		if err := gate.RetryWrite(t.Context(), func(context.Context) error {
			if time.Since(began) < 4*time.Second {
				return errFull
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if err := <-bought; err != nil || sent.Sub(began) < 4*time.Second {
			t.Errorf("sent after %s, %v; want when writes succeed", sent.Sub(began), err)
		}
		if err := writeback.CheckBeforeSend(t.Context()); err != nil {
			t.Errorf("a request that Buy does not call is kept back: %v", err)
		}
	})
}

func TestWriteEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var gate writeback.Breaker
		ctx, end := context.WithTimeout(t.Context(), time.Second)
		defer end()
		began := time.Now()
		if err := gate.RetryWrite(ctx, func(context.Context) error { return errFull }); !errors.Is(err, errFull) || time.Since(began) > time.Second {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
	})
}

// What is wrong with one write says nothing about the others.
func TestDefectsOfAWriteAreNotTriedAgain(t *testing.T) {
	t.Parallel()
	for _, want := range []error{errors.New("a defect"), fault.New(fault.LeaseLost, "lost"), fault.New(fault.Conflict, "gone")} {
		var gate writeback.Breaker
		tries := 0
		err := gate.RetryWrite(t.Context(), func(context.Context) error { tries++; return want })
		if !errors.Is(err, want) || tries != 1 || callProvider(t.Context(), &gate) != nil {
			t.Errorf("%d tries, %v; then the gate says %v", tries, err, callProvider(t.Context(), &gate))
		}
	}
}

func TestBufferIsBounded(t *testing.T) {
	t.Parallel()
	buffer := writeback.NewBuffer[int, string](10)
	for i := range 5 {
		buffer.Put(i, "grain", 3)
		buffer.Put(i, "chaff", 3) // it is held already
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
		t.Errorf("%d are held, want none: none fits", buffer.Len())
	}
}
