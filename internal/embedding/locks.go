package embedding

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/seed-7a112592/gristmill/internal/goroutine"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// SharedLocks keeps two processes from buying the same vector at the same time.
type SharedLocks interface {
	// AcquireLocks returns those of the names that no other process holds. They are
	// the caller's until it releases them, or until it has not claimed them
	// again for fifteen seconds: a process that dies must not hold up the others
	// for long. When claims cannot be had, all are the caller's: paying
	// twice is better than not working.
	AcquireLocks(ctx context.Context, names []string) []string
	ReleaseLocks(ctx context.Context, names []string)
}

const (
	// lockPollInterval is how long an order waits before it asks again for a vector that
	// another process buys.
	lockPollInterval = 200 * time.Millisecond

	// lockRenewInterval is how often claims are renewed.
	lockRenewInterval = 5 * time.Second

	// releaseTimeout bounds giving claims back when the task's context is over.
	releaseTimeout = time.Second
)

// inFlightLocks keep two orders from buying the same vector at the same time: those
// of this process by the map, those of other processes by what they share.
type inFlightLocks struct {
	shared SharedLocks

	mu   sync.Mutex
	held map[vectorKey]chan struct{}
}

// vectorKey names a vector that is being looked up or bought.
type vectorKey struct {
	tenant string
	model  document.Model
	hash   document.ContentHash
}

func (c vectorKey) String() string {
	return fmt.Sprintf("%s:%s:%d:%x", c.tenant, c.model.Name, c.model.Dimensions, c.hash)
}

// acquireResult is what came of claiming vectors.
type acquireResult struct {
	keys          []vectorKey
	localHolders  []<-chan struct{} // closed when other orders of this process release theirs
	heldElsewhere bool              // another process holds some
}

// isComplete reports whether all that was wanted was claimed.
func (t acquireResult) isComplete() bool { return len(t.localHolders) == 0 && !t.heldElsewhere }

// waitForOthers waits until it is time to try again for what others hold.
func (t acquireResult) waitForOthers(ctx context.Context) error {
	for _, holder := range t.localHolders {
		select {
		case <-holder:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if !t.heldElsewhere {
		return nil
	}
	timer := time.NewTimer(lockPollInterval)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// acquire claims those of the wanted vectors that nobody holds. Callers must
// release them before they wait for the others, or two orders could wait for
// each other.
func (c *inFlightLocks) acquire(ctx context.Context, wanted []vectorKey) acquireResult {
	mine, here := c.acquireLocal(wanted)
	if len(mine) == 0 {
		return acquireResult{localHolders: here}
	}
	ours := c.shared.AcquireLocks(ctx, keyNames(mine))
	if len(ours) == len(mine) {
		return acquireResult{keys: mine, localHolders: here}
	}
	is := setOf(ours)
	var kept, elsewhere []vectorKey
	for _, m := range mine {
		if is[m.String()] {
			kept = append(kept, m)
		} else {
			elsewhere = append(elsewhere, m)
		}
	}
	c.releaseLocal(elsewhere)
	return acquireResult{keys: kept, localHolders: here, heldElsewhere: true}
}

// renew renews claims until stop is called: a provider may take its time. The
// error of stop is a panic.
func (c *inFlightLocks) renew(ctx context.Context, mine []vectorKey) (stop func() error) {
	if len(mine) == 0 {
		return func() error { return nil }
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := goroutine.Start(func() error {
		ticker := time.NewTicker(lockRenewInterval)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				c.shared.AcquireLocks(ctx, keyNames(mine))
			case <-ctx.Done():
				return nil
			}
		}
	})
	return func() error { cancel(); return <-ended }
}

// release gives claims back and wakes the orders of this process that wait for
// them.
func (c *inFlightLocks) release(ctx context.Context, mine []vectorKey) {
	if len(mine) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	c.shared.ReleaseLocks(ctx, keyNames(mine))
	c.releaseLocal(mine)
}

// acquireLocal claims what no other order of this process holds. The channels are
// closed when their holders are done, whether they succeeded or not.
func (c *inFlightLocks) acquireLocal(wanted []vectorKey) (mine []vectorKey, theirs []<-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held == nil {
		c.held = make(map[vectorKey]chan struct{})
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

func (c *inFlightLocks) releaseLocal(mine []vectorKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, claim := range mine {
		close(c.held[claim])
		delete(c.held, claim)
	}
}

func keyNames(claims []vectorKey) []string {
	names := make([]string, len(claims))
	for i, claim := range claims {
		names[i] = claim.String()
	}
	return names
}
