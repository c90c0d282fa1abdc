// Package writeback keeps what a provider was paid for until the database has
// it: writes are tried again, nothing more is bought while they fail, and what
// could not be written is held in memory for the next attempt.
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
	// maxWriteRetryTime is how long one write is tried again. The task then waits and
	// says why, and its next attempt writes what is held.
	maxWriteRetryTime = 30 * time.Second

	minBackoff = 100 * time.Millisecond // between two tries, doubled each time
	maxBackoff = 2 * time.Second

	// probeInterval is how long after the last try, with nobody left who tries
	// again, one purchase is let through: only its write can show that the
	// database is back.
	probeInterval = 15 * time.Second

	// maxWaitClosed is how long a request waits at a closed gate, and
	// closedWait how long the task then waits that was not let through.
	maxWaitClosed  = 5 * time.Second
	openRetryAfter = 2 * time.Second
)

// Breaker is closed while writes fail because the database cannot be used: it is
// away, read-only, or its disk is full. All that buy in a process share one.
// The zero value is open.
type Breaker struct {
	Log *slog.Logger // may be nil

	mu          sync.Mutex
	lastFailure *fault.Error  // of the last write; nil while the gate is open
	recovered   chan struct{} // closed when the gate opens again
	lastTry     time.Time     // the last try of a write, or the last probe
}

// CallProvider calls request, which sends one request to a provider. While writes fail it
// waits for some seconds, and then returns fault.Unavailable: what would be
// bought could not be kept. A request may have to wait for its turn: it is not
// sent when writes fail by then. See Check.
func (g *Breaker) CallProvider(ctx context.Context, request func(ctx context.Context) error) error {
	for {
		probe, err := g.waitClosed(ctx)
		if err != nil {
			return err
		}
		asking := ctx
		if !probe {
			asking = context.WithValue(ctx, breakerKey{}, g)
		}
		if err := request(asking); !errors.Is(err, errOpen) {
			return err
		}
	}
}

type breakerKey struct{}

var errOpen = errors.New("writes fail")

// CheckBeforeSend is called when a request's turn has come, right before it is sent. Of
// one that Buy calls it returns an error when the gate has closed since; it must
// then not be sent, and Buy waits and calls again. Of any other request it
// returns nil.
func CheckBeforeSend(ctx context.Context) error {
	g, buying := ctx.Value(breakerKey{}).(*Breaker)
	if !buying {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.lastFailure == nil {
		return nil
	}
	return fault.Wrap(fault.Unavailable, errOpen, "%s", g.lastFailure.Detail)
}

// waitClosed waits until the gate is open, or lets the request through as a probe.
func (g *Breaker) waitClosed(ctx context.Context) (probe bool, err error) {
	timer := time.NewTimer(maxWaitClosed)
	defer timer.Stop()
	for {
		why, opened, probe := g.state()
		if why == nil || probe {
			return probe, nil
		}
		select {
		case <-opened:
		case <-timer.C:
			return false, fault.Wrap(fault.Unavailable, why, "%s; until it can be written to, nothing more is asked of the model", why.Detail).WithRetryAfter(openRetryAfter)
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// state returns why the gate is closed, what is closed when it opens, and
// whether it is time for a probe, which the caller then is.
func (g *Breaker) state() (why *fault.Error, opened <-chan struct{}, probe bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.lastFailure != nil && time.Since(g.lastTry) >= probeInterval {
		g.lastTry = time.Now()
		probe = true
	}
	return g.lastFailure, g.recovered, probe
}

// RetryWrite calls write, which stores what is paid for, until it succeeds. It gives
// up when ctx ends, when the failure is another than fault.Unavailable, and
// after half a minute.
func (g *Breaker) RetryWrite(ctx context.Context, write func(ctx context.Context) error) error {
	began := time.Now()
	for pause := minBackoff; ; pause = min(2*pause, maxBackoff) {
		err := write(ctx)
		if !g.recordWrite(err) || ctx.Err() != nil || time.Since(began) >= maxWriteRetryTime {
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

// recordWrite draws the conclusion from a write, and reports whether to try it again.
func (g *Breaker) recordWrite(err error) (again bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lastTry = time.Now()
	switch {
	case err == nil:
		if g.lastFailure != nil {
			close(g.recovered)
			if g.Log != nil {
				g.Log.Info("the database can be written to again")
			}
		}
		g.lastFailure = nil
	case fault.Is(err, fault.Unavailable):
		if g.lastFailure == nil {
			g.recovered = make(chan struct{})
			if g.Log != nil {
				g.Log.Warn("writes fail; what was bought is kept, and nothing more is bought", "error", err)
			}
		}
		g.lastFailure = fault.As(err)
		return true
	}
	return false
}
