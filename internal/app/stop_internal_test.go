package app

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

func TestShutdownPhasesAddUp(t *testing.T) {
	t.Parallel()
	for timeout, want := range map[time.Duration]shutdownPhases{
		25 * time.Second: {17 * time.Second, 4 * time.Second, 4 * time.Second},
		3 * time.Second:  {2 * time.Second, 500 * time.Millisecond, 500 * time.Millisecond},
		10 * time.Minute: {10*time.Minute - 8*time.Second, 4 * time.Second, 4 * time.Second},
	} {
		config := Config{ShutdownTimeout: timeout}
		got := config.shutdownPhases()
		if got != want || got.finish+got.drain+got.close != timeout {
			t.Errorf("%s is divided into %+v, want %+v", timeout, got, want)
		}
	}
}

func TestShutdownIsBounded(t *testing.T) {
	t.Parallel()
	failed := errors.New("port taken")
	for name, test := range map[string]struct {
		takes time.Duration // of the function, after ctx has ended
		cause error         // of the end of ctx
		want  error
		took  time.Duration // of awaitWithinShutdown, after ctx has ended
	}{
		"ends":               {20 * time.Second, context.Canceled, nil, 20 * time.Second},
		"hangs":              {time.Hour, context.Canceled, context.Canceled, 25 * time.Second},
		"failed, then hangs": {time.Hour, failed, failed, 25 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancelCause(t.Context())
				time.AfterFunc(time.Minute, func() { stop(test.cause) })
				start := time.Now()
				err := awaitWithinShutdown(ctx, Config{ShutdownTimeout: 25 * time.Second}, slog.New(slog.DiscardHandler), func() error {
					<-ctx.Done()
					<-time.After(test.takes) // fake clock
					return nil
				})
				if took := time.Since(start) - time.Minute; !errors.Is(err, test.want) || took != test.took {
					t.Errorf("got %v %s after the end of ctx, want %v after %s", err, took, test.want, test.took)
				}
				<-time.After(time.Hour) // until the function has returned
			})
		})
	}
}
