package ingest

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
)

const (
	// backlogAge is how long what the store said of a backlog holds.
	backlogAge = time.Second

	// backlogRetryAfter is when a client that was refused may come again.
	backlogRetryAfter = 10 * time.Second
)

// backlogs keeps the backlog of each tenant, so that refusing an upload costs
// next to nothing. The zero value is empty.
type backlogs struct {
	mu     sync.Mutex
	of     map[string]*tenantBacklog
	asking singleflight.Group // of the store, by tenant
}

// tenantBacklog is known + added, and what is under way.
type tenantBacklog struct {
	asked    time.Time        // when the store was; never if zero
	known    document.Backlog // what the store said, less what had been added when it was asked
	added    document.Backlog // by this process, ever
	underWay int64            // uploads of this process that have been let in
}

// enter lets an upload in, or refuses it while the tenant's backlog is at a
// limit. The caller says how it ended by calling leave.
//
// Within one process no more jobs are let in than the limit of jobs allows:
// uploads under way count. How many bytes they bring is known only once they
// are here, so those that are let in together may take the bytes past their
// limit. What other processes accept, and what workers end, counts after a
// second.
func (s *Step) enter(ctx context.Context, owner string) (leave func(document.Accepted), err error) {
	if err := s.refreshBacklog(ctx, owner); err != nil {
		return nil, err
	}
	b := &s.backlogs
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.of[owner]
	jobs, bytes := t.known.Jobs+t.added.Jobs+t.underWay, t.known.Bytes+t.added.Bytes
	switch {
	case jobs >= s.Limits.Jobs:
		return nil, fault.New(fault.RateLimited,
			"%d documents are being worked on or wait for it, and GRISTMILL_MAX_QUEUED_JOBS allows %d: send this one again when some are done",
			jobs, s.Limits.Jobs).After(backlogRetryAfter)
	case bytes >= s.Limits.Bytes:
		return nil, fault.New(fault.RateLimited,
			"%d bytes of documents are being worked on or wait for it, and GRISTMILL_MAX_QUEUED_BYTES allows %d: send this one again when some are done",
			bytes, s.Limits.Bytes).After(backlogRetryAfter)
	}
	t.underWay++
	return func(accepted document.Accepted) {
		b.mu.Lock()
		defer b.mu.Unlock()
		t.underWay--
		if isNew(accepted) {
			t.added.Jobs++
			t.added.Bytes += accepted.Document.Size
		}
	}, nil
}

// refreshBacklog asks the store for the tenant's backlog unless it was asked
// just now. Callers at the same time ask once.
func (s *Step) refreshBacklog(ctx context.Context, owner string) error {
	b := &s.backlogs
	b.mu.Lock()
	t := b.of[owner]
	fresh := t != nil && time.Since(t.asked) < backlogAge
	b.mu.Unlock()
	if fresh {
		return nil
	}
	_, err, _ := b.asking.Do(owner, func() (any, error) {
		// For all who wait, whichever of them goes.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), beginTimeout)
		defer cancel()
		return nil, s.askBacklog(ctx, owner)
	})
	return err
}

// askBacklog asks the store. An upload that is accepted meanwhile may be in
// its answer or not, and is counted beside it: rather twice, for a second, than
// not at all.
func (s *Step) askBacklog(ctx context.Context, owner string) error {
	b := &s.backlogs
	b.mu.Lock()
	if b.of == nil {
		b.of = map[string]*tenantBacklog{}
	}
	if b.of[owner] == nil {
		b.of[owner] = &tenantBacklog{}
	}
	t := b.of[owner]
	before := t.added
	b.mu.Unlock()

	asked := time.Now()
	known, err := s.Store.Backlog(ctx)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	t.asked = asked
	t.known = document.Backlog{Jobs: known.Jobs - before.Jobs, Bytes: known.Bytes - before.Bytes}
	return nil
}
