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

	// minForget is how many tenants' backlogs are kept whatever their age.
	minForget = 1000

	// backlogRetryAfter is when a client that was refused may come again.
	backlogRetryAfter = 10 * time.Second
)

// backlogs keeps the backlog of each tenant, so that refusing an upload costs
// next to nothing. The zero value is empty.
type backlogs struct {
	mu     sync.Mutex
	of     map[string]*tenantBacklog
	asking singleflight.Group // of the store, by tenant

	forgetAt int // how many there are when it is next looked which to forget
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
	t, err := s.refreshBacklog(ctx, owner)
	if err != nil {
		return nil, err
	}
	b := &s.backlogs
	b.mu.Lock()
	defer b.mu.Unlock()
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

// refreshBacklog returns the tenant's backlog. It asks the store for it unless
// it was asked just now. Callers at the same time ask once.
func (s *Step) refreshBacklog(ctx context.Context, owner string) (*tenantBacklog, error) {
	b := &s.backlogs
	b.mu.Lock()
	t := b.of[owner]
	fresh := t != nil && time.Since(t.asked) < backlogAge
	b.mu.Unlock()
	if fresh {
		return t, nil
	}
	asked, err, _ := b.asking.Do(owner, func() (any, error) {
		// For all who wait, whichever of them goes.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), beginTimeout)
		defer cancel()
		return s.askBacklog(ctx, owner)
	})
	if err != nil {
		return nil, err
	}
	return asked.(*tenantBacklog), nil
}

// askBacklog asks the store. An upload that is accepted meanwhile may be in
// its answer or not, and is counted beside it: rather twice, for a second, than
// not at all.
func (s *Step) askBacklog(ctx context.Context, owner string) (*tenantBacklog, error) {
	b := &s.backlogs
	b.mu.Lock()
	t := b.of[owner]
	if t == nil {
		t = &tenantBacklog{}
	}
	before := t.added
	b.mu.Unlock()

	asked := time.Now()
	known, err := s.Store.Backlog(ctx)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	t.asked = asked
	t.known = document.Backlog{Jobs: known.Jobs - before.Jobs, Bytes: known.Bytes - before.Bytes}
	b.keep(owner, t)
	return t, nil
}

// keep keeps the backlog of a tenant, and forgets those that nobody needs when
// there are many.
func (b *backlogs) keep(owner string, t *tenantBacklog) {
	if b.of == nil {
		b.of = map[string]*tenantBacklog{}
	}
	b.of[owner] = t
	if len(b.of) < b.forgetAt {
		return
	}
	for id, other := range b.of {
		if other.underWay == 0 && time.Since(other.asked) > backlogAge {
			delete(b.of, id)
		}
	}
	b.forgetAt = max(minForget, 2*len(b.of))
}
