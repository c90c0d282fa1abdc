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

	"github.com/seed-7a112592/gristmill/pkg/fault"
)

const (
	// patience is how long one write is tried again. The task then waits and
	// says why, and its next attempt writes what is held.
	patience = 30 * time.Second

	firstPause = 100 * time.Millisecond // between two tries, doubled each time
	maxPause   = 2 * time.Second

	// probeAfter is how long after the last try, with nobody left who tries
	// again, one purchase is let through: only its write can show that the
	// database is back.
	probeAfter = 15 * time.Second

	// enterPatience is how long a request waits at a closed gate, and
	// closedWait how long the task then waits that was not let through.
	enterPatience = 5 * time.Second
	closedWait    = 2 * time.Second
)

// Gate is closed while writes fail because the database cannot be used: it is
// away, read-only, or its disk is full. All that buy in a process share one.
// The zero value is open.
type Gate struct {
	Log *slog.Logger // may be nil

	mu     sync.Mutex
	why    *fault.Error  // of the last write; nil while the gate is open
	opened chan struct{} // closed when the gate opens again
	tried  time.Time     // the last try of a write, or the last probe
}

// Buy calls request, which sends one request to a provider. While writes fail it
// waits for some seconds, and then returns fault.Unavailable: what would be
// bought could not be kept. A request may have to wait for its turn: it is not
// sent when writes fail by then. See Check.
func (g *Gate) Buy(ctx context.Context, request func(ctx context.Context) error) error {
	for {
		probe, err := g.enter(ctx)
		if err != nil {
			return err
		}
		asking := ctx
		if !probe {
			asking = context.WithValue(ctx, gateKey{}, g)
		}
		if err := request(asking); !errors.Is(err, errClosed) {
			return err
		}
	}
}

type gateKey struct{}

var errClosed = errors.New("writes fail")

// Check is called when a request's turn has come, right before it is sent. Of
// one that Buy calls it returns an error when the gate has closed since; it must
// then not be sent, and Buy waits and calls again. Of any other request it
// returns nil.
func Check(ctx context.Context) error {
	g, buying := ctx.Value(gateKey{}).(*Gate)
	if !buying {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.why == nil {
		return nil
	}
	return fault.Wrap(fault.Unavailable, errClosed, "%s", g.why.Detail)
}

// enter waits until the gate is open, or lets the request through as a probe.
func (g *Gate) enter(ctx context.Context) (probe bool, err error) {
	timer := time.NewTimer(enterPatience)
	defer timer.Stop()
	for {
		why, opened, probe := g.closed()
		if why == nil || probe {
			return probe, nil
		}
		select {
		case <-opened:
		case <-timer.C:
			return false, fault.Wrap(fault.Unavailable, why, "%s; until it can be written to, nothing more is asked of the model", why.Detail).After(closedWait)
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// closed returns why the gate is closed, what is closed when it opens, and
// whether it is time for a probe, which the caller then is.
func (g *Gate) closed() (why *fault.Error, opened <-chan struct{}, probe bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.why != nil && time.Since(g.tried) >= probeAfter {
		g.tried = time.Now()
		probe = true
	}
	return g.why, g.opened, probe
}

// Write calls write, which stores what is paid for, until it succeeds. It gives
// up when ctx ends, when the failure is another than fault.Unavailable, and
// after half a minute.
func (g *Gate) Write(ctx context.Context, write func(ctx context.Context) error) error {
	began := time.Now()
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		err := write(ctx)
		if !g.note(err) || ctx.Err() != nil || time.Since(began) >= patience {
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

// note draws the conclusion from a write, and reports whether to try it again.
func (g *Gate) note(err error) (again bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tried = time.Now()
	switch {
	case err == nil:
		if g.why != nil {
			close(g.opened)
			if g.Log != nil {
				g.Log.Info("the database can be written to again")
			}
		}
		g.why = nil
	case fault.Is(err, fault.Unavailable):
		if g.why == nil {
			g.opened = make(chan struct{})
			if g.Log != nil {
				g.Log.Warn("writes fail; what was bought is kept, and nothing more is bought", "error", err)
			}
		}
		g.why = fault.As(err)
		return true
	}
	return false
}
