// Package writeback keeps results that a provider was paid for until the database has stored them:
// failed writes are retried, no further provider requests are sent while writes fail, and results
// that could not be written are kept in memory for the next attempt.
package writeback

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/seed-7a112592/gristmill/internal/fault"
)

const (
	// maxWriteRetryTime bounds the retries of one write. After that the task waits and reports the
	// reason, and its next attempt writes the results that are kept.
	maxWriteRetryTime = 30 * time.Second

	minBackoff = 100 * time.Millisecond // between two tries; doubled each time
	maxBackoff = 2 * time.Second

	// While the breaker is open, one provider request is let through probeInterval after the last
	// try of a write. If no write is being retried, only the write of its result can show that the
	// database accepts writes again.
	probeInterval = 15 * time.Second

	// maxOpenWait is how long a request waits while the breaker is open. openRetryAfter is how long
	// its task waits after that.
	maxOpenWait    = 5 * time.Second
	openRetryAfter = 2 * time.Second
)

// Breaker is open while writes fail because the database cannot be used: it is down, read-only, or
// its disk is full. While it is open, no provider requests are sent. All callers of providers in a
// process share one breaker. The zero value is closed.
type Breaker struct {
	Log *slog.Logger // may be nil

	mu          sync.Mutex
	lastFailure *fault.Error  // of the last write; nil while the breaker is closed
	recovered   chan struct{} // closed when writes succeed again
	lastTry     time.Time     // time of the last write or probe
}

// CallProvider calls request, which sends one request to a provider. While writes fail, it waits a
// few seconds and then returns fault.Unavailable, because the results could not be stored. A
// request that waits for its turn is not sent either if writes fail by the time its turn comes; see
// CheckBeforeSend.
func (b *Breaker) CallProvider(ctx context.Context, request func(ctx context.Context) error) error {
	for {
		probe, err := b.waitClosed(ctx)
		if err != nil {
			return err
		}
		callCtx := ctx
		if !probe {
			callCtx = context.WithValue(ctx, breakerKey{}, b)
		}
		if err := request(callCtx); !errors.Is(err, errOpen) {
			return err
		}
	}
}

type breakerKey struct{}

var errOpen = errors.New("writes fail")

// CheckBeforeSend must be called when a request's turn has come, right before it is sent. For a
// request that CallProvider runs, it returns an error if the breaker has opened meanwhile: the
// request must then not be sent, and CallProvider waits and calls it again. For any other request,
// and for a probe, it returns nil.
func CheckBeforeSend(ctx context.Context) error {
	b, ok := ctx.Value(breakerKey{}).(*Breaker)
	if !ok {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lastFailure == nil {
		return nil
	}
	return fault.Wrap(fault.Unavailable, errOpen, "%s", b.lastFailure.Detail)
}

// waitClosed waits until the breaker is closed, or lets the request through as a probe.
func (b *Breaker) waitClosed(ctx context.Context) (probe bool, err error) {
	timer := time.NewTimer(maxOpenWait)
	defer timer.Stop()
	for {
		failure, recovered, probe := b.state()
		if failure == nil || probe {
			return probe, nil
		}
		select {
		case <-recovered:
		case <-timer.C:
			return false, fault.Wrap(fault.Unavailable, failure, "%s; no requests are sent to the model until the database accepts writes", failure.Detail).WithRetryAfter(openRetryAfter)
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// state returns the failure for which the breaker is open, a channel that is closed when writes
// succeed again, and whether the caller is to send a probe.
func (b *Breaker) state() (failure *fault.Error, recovered <-chan struct{}, probe bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lastFailure != nil && time.Since(b.lastTry) >= probeInterval {
		b.lastTry = time.Now()
		probe = true
	}
	return b.lastFailure, b.recovered, probe
}

// RetryWrite calls write, which stores paid results, until it succeeds. It gives up when ctx ends,
// when the failure is not fault.Unavailable, and after half a minute.
func (b *Breaker) RetryWrite(ctx context.Context, write func(ctx context.Context) error) error {
	began := time.Now()
	for pause := minBackoff; ; pause = min(2*pause, maxBackoff) {
		err := write(ctx)
		if !b.recordWrite(err) || ctx.Err() != nil || time.Since(began) >= maxWriteRetryTime {
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}

// recordWrite opens or closes the breaker by the result of a write, and reports whether to retry
// the write.
func (b *Breaker) recordWrite(err error) (again bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lastTry = time.Now()
	switch {
	case err == nil:
		if b.lastFailure != nil {
			close(b.recovered)
			if b.Log != nil {
				b.Log.Info("the database accepts writes again")
			}
		}
		b.lastFailure = nil
	case fault.Is(err, fault.Unavailable):
		if b.lastFailure == nil {
			b.recovered = make(chan struct{})
			if b.Log != nil {
				b.Log.Warn("writes to the database fail; paid results are kept in memory, and no provider requests are sent", "error", err)
			}
		}
		b.lastFailure = fault.As(err)
		return true
	}
	return false
}
