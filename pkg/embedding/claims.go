package embedding

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/goroutine"
)

// Shared keeps two processes from buying the same vector at the same time.
type Shared interface {
	// Claim returns those of the names that no other process holds. They are
	// the caller's until it releases them, or until it has not claimed them
	// again for fifteen seconds: a process that dies must not hold up the others
	// for long. When claims cannot be had, all are the caller's: paying
	// twice is better than not working.
	Claim(ctx context.Context, names []string) []string
	Release(ctx context.Context, names []string)
}

const (
	// lookAgain is how long an order waits before it asks again for a vector that
	// another process buys.
	lookAgain = 200 * time.Millisecond

	// claimAgain is how often claims are renewed.
	claimAgain = 5 * time.Second

	// releaseTimeout bounds giving claims back when the task's context is over.
	releaseTimeout = time.Second
)

// claims keep two orders from buying the same vector at the same time: those
// of this process by the map, those of other processes by what they share.
type claims struct {
	Shared Shared

	mu   sync.Mutex
	held map[claim]chan struct{}
}

// claim names a vector that is being looked up or bought.
type claim struct {
	tenant string
	model  document.Model
	hash   document.Hash
}

func (c claim) String() string {
	return fmt.Sprintf("%s:%s:%d:%x", c.tenant, c.model.Name, c.model.Dimensions, c.hash)
}

// taken is what came of claiming vectors.
type taken struct {
	mine      []claim
	here      []<-chan struct{} // closed when other orders of this process release theirs
	elsewhere bool              // another process holds some
}

// all reports whether all that was wanted was claimed.
func (t taken) all() bool { return len(t.here) == 0 && !t.elsewhere }

// wait waits until it is time to try again for what others hold.
func (t taken) wait(ctx context.Context) error {
	for _, holder := range t.here {
		select {
		case <-holder:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if !t.elsewhere {
		return nil
	}
	timer := time.NewTimer(lookAgain)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// take claims those of the wanted vectors that nobody holds. Callers must
// release them before they wait for the others, or two orders could wait for
// each other.
func (c *claims) take(ctx context.Context, wanted []claim) taken {
	mine, here := c.takeHere(wanted)
	if len(mine) == 0 {
		return taken{here: here}
	}
	ours := c.Shared.Claim(ctx, names(mine))
	if len(ours) == len(mine) {
		return taken{mine: mine, here: here}
	}
	is := setOf(ours)
	var kept, elsewhere []claim
	for _, m := range mine {
		if is[m.String()] {
			kept = append(kept, m)
		} else {
			elsewhere = append(elsewhere, m)
		}
	}
	c.releaseHere(elsewhere)
	return taken{mine: kept, here: here, elsewhere: true}
}

// keep renews claims until stop is called: a provider may take its time. The
// error of stop is a panic.
func (c *claims) keep(ctx context.Context, mine []claim) (stop func() error) {
	if len(mine) == 0 {
		return func() error { return nil }
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := goroutine.Start(func() error {
		ticker := time.NewTicker(claimAgain)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				c.Shared.Claim(ctx, names(mine))
			case <-ctx.Done():
				return nil
			}
		}
	})
	return func() error { cancel(); return <-ended }
}

// release gives claims back and wakes the orders of this process that wait for
// them.
func (c *claims) release(ctx context.Context, mine []claim) {
	if len(mine) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	c.Shared.Release(ctx, names(mine))
	c.releaseHere(mine)
}

// takeHere claims what no other order of this process holds. The channels are
// closed when their holders are done, whether they succeeded or not.
func (c *claims) takeHere(wanted []claim) (mine []claim, theirs []<-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held == nil {
		c.held = make(map[claim]chan struct{})
	}
	for _, want := range wanted {
		if holder, ok := c.held[want]; ok {
			theirs = append(theirs, holder)
			continue
		}
		c.held[want] = make(chan struct{})
		mine = append(mine, want)
	}
	return mine, theirs
}

func (c *claims) releaseHere(mine []claim) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, claim := range mine {
		close(c.held[claim])
		delete(c.held, claim)
	}
}

func names(claims []claim) []string {
	names := make([]string, len(claims))
	for i, claim := range claims {
		names[i] = claim.String()
	}
	return names
}
