package embedding

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/seed-7a112592/gristmill/internal/goroutine"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// SharedLocks keeps two processes from embedding the same text at the same time.
type SharedLocks interface {
	// AcquireLocks returns the names that no other process holds. The caller holds them until it
	// releases them, or until it has not acquired them again for fifteen seconds: a process that
	// dies must not delay the others for long. If the lock service is down, the caller gets all
	// names: paying twice is better than not working.
	AcquireLocks(ctx context.Context, names []string) []string
	ReleaseLocks(ctx context.Context, names []string)
}

const (
	// lockPollInterval is the wait before a request asks again for a lock that another process
	// holds.
	lockPollInterval = 200 * time.Millisecond

	// lockRenewInterval is how often held locks are renewed.
	lockRenewInterval = 5 * time.Second

	// releaseTimeout bounds the release of locks after the task's context has ended.
	releaseTimeout = time.Second
)

// inFlightLocks keep two requests from embedding the same text at the same time: the map holds the
// locks within this process, shared those between processes.
type inFlightLocks struct {
	shared SharedLocks

	mu   sync.Mutex
	held map[vectorKey]chan struct{} // closed on release
}

// vectorKey names a vector that is being looked up or embedded.
type vectorKey struct {
	tenant string
	model  document.Model
	hash   document.ContentHash
}

func (c vectorKey) String() string {
	return fmt.Sprintf("%s:%s:%d:%x", c.tenant, c.model.Name, c.model.Dimensions, c.hash)
}

// acquireResult is the result of acquiring locks.
type acquireResult struct {
	keys          []vectorKey
	localHolders  []<-chan struct{} // closed when other requests of this process release their locks
	heldElsewhere bool              // another process holds some of the locks
}

// isComplete reports whether all wanted locks were acquired.
func (t acquireResult) isComplete() bool { return len(t.localHolders) == 0 && !t.heldElsewhere }

// waitForOthers waits until it is time to try again for the locks that others hold.
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

// acquire locks the wanted vectors that no other request or process holds. Callers must release
// their locks before they wait for the others; otherwise two requests could wait for each other.
func (c *inFlightLocks) acquire(ctx context.Context, wanted []vectorKey) acquireResult {
	acquired, holders := c.acquireLocal(wanted)
	if len(acquired) == 0 {
		return acquireResult{localHolders: holders}
	}
	granted := c.shared.AcquireLocks(ctx, keyNames(acquired))
	if len(granted) == len(acquired) {
		return acquireResult{keys: acquired, localHolders: holders}
	}
	isGranted := setOf(granted)
	var kept, elsewhere []vectorKey
	for _, key := range acquired {
		if isGranted[key.String()] {
			kept = append(kept, key)
		} else {
			elsewhere = append(elsewhere, key)
		}
	}
	c.releaseLocal(elsewhere)
	return acquireResult{keys: kept, localHolders: holders, heldElsewhere: true}
}

// renew renews the locks until stop is called, because a provider may take longer than the locks
// last. stop returns the error of a panic.
func (c *inFlightLocks) renew(ctx context.Context, acquired []vectorKey) (stop func() error) {
	if len(acquired) == 0 {
		return func() error { return nil }
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := goroutine.Start(func() error {
		ticker := time.NewTicker(lockRenewInterval)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				c.shared.AcquireLocks(ctx, keyNames(acquired))
			case <-ctx.Done():
				return nil
			}
		}
	})
	return func() error { cancel(); return <-ended }
}

// release releases the locks and wakes the requests of this process that wait for them.
func (c *inFlightLocks) release(ctx context.Context, acquired []vectorKey) {
	if len(acquired) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	c.shared.ReleaseLocks(ctx, keyNames(acquired))
	c.releaseLocal(acquired)
}

// acquireLocal locks the vectors that no other request of this process holds. The channels are
// closed when the holders of the other locks release them, whether they succeeded or not.
func (c *inFlightLocks) acquireLocal(wanted []vectorKey) (acquired []vectorKey, holders []<-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held == nil {
		c.held = make(map[vectorKey]chan struct{})
	}
	for _, key := range wanted {
		if holder, ok := c.held[key]; ok {
			holders = append(holders, holder)
			continue
		}
		c.held[key] = make(chan struct{})
		acquired = append(acquired, key)
	}
	return acquired, holders
}

func (c *inFlightLocks) releaseLocal(acquired []vectorKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, key := range acquired {
		close(c.held[key])
		delete(c.held, key)
	}
}

func keyNames(keys []vectorKey) []string {
	names := make([]string, len(keys))
	for i, key := range keys {
		names[i] = key.String()
	}
	return names
}
