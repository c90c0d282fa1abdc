package ingest

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

const (
	// maxBacklogAge is how long what the store said of a backlog holds.
	maxBacklogAge = time.Second

	// minEvictSize is how many tenants' backlogs are kept whatever their age.
	minEvictSize = 1000

	// backlogRetryAfter is when a client that was refused may come again.
	backlogRetryAfter = 10 * time.Second
)

// backlogCache keeps the backlog of each tenant, so that refusing an upload costs
// next to nothing. The zero value is empty.
type backlogCache struct {
	mu       sync.Mutex
	byTenant map[string]*tenantBacklog
	loads    singleflight.Group // of the store, by tenant

	evictAt int // how many there are when it is next looked which to forget
}

// tenantBacklog is known + added, and what is under way.
type tenantBacklog struct {
	loadedAt time.Time    // when the store was; never if zero
	stored   task.Backlog // what the store said, less what had been added when it was asked
	accepted task.Backlog // by this process, ever
	inFlight int64        // uploads of this process that have been let in
}

// admitUpload lets an upload in, or refuses it while the tenant's backlog is at a
// limit. The caller says how it ended by calling leave.
//
// Within one process no more jobs are let in than the limit of jobs allows:
// uploads under way count. How many bytes they bring is known only once they
// are here, so those that are let in together may take the bytes past their
// limit. What other processes accept, and what workers end, counts after a
// second.
func (s *Service) admitUpload(ctx context.Context, owner string) (leave func(document.Accepted), err error) {
	t, err := s.cachedBacklog(ctx, owner)
	if err != nil {
		return nil, err
	}
	b := &s.backlogs
	b.mu.Lock()
	defer b.mu.Unlock()
	jobs, bytes := t.stored.Jobs+t.accepted.Jobs+t.inFlight, t.stored.Bytes+t.accepted.Bytes
	switch {
	case jobs >= s.BacklogLimit.Jobs:
		return nil, fault.New(fault.RateLimited,
			"%d documents are being worked on or wait for it, and GRISTMILL_MAX_QUEUED_JOBS allows %d: send this one again when some are done",
			jobs, s.BacklogLimit.Jobs).WithRetryAfter(backlogRetryAfter)
	case bytes >= s.BacklogLimit.Bytes:
		return nil, fault.New(fault.RateLimited,
			"%d bytes of documents are being worked on or wait for it, and GRISTMILL_MAX_QUEUED_BYTES allows %d: send this one again when some are done",
			bytes, s.BacklogLimit.Bytes).WithRetryAfter(backlogRetryAfter)
	}
	t.inFlight++
	return func(accepted document.Accepted) {
		b.mu.Lock()
		defer b.mu.Unlock()
		t.inFlight--
		if isNew(accepted) {
			t.accepted.Jobs++
			t.accepted.Bytes += accepted.Document.Size
		}
	}, nil
}

// cachedBacklog returns the tenant's backlog. It asks the store for it unless
// it was asked just now. Callers at the same time ask once.
func (s *Service) cachedBacklog(ctx context.Context, owner string) (*tenantBacklog, error) {
	b := &s.backlogs
	b.mu.Lock()
	t := b.byTenant[owner]
	fresh := t != nil && time.Since(t.loadedAt) < maxBacklogAge
	b.mu.Unlock()
	if fresh {
		return t, nil
	}
	asked, err, _ := b.loads.Do(owner, func() (any, error) {
		// For all who wait, whichever of them goes.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), beginTimeout)
		defer cancel()
		return s.loadBacklog(ctx, owner)
	})
	if err != nil {
		return nil, err
	}
	return asked.(*tenantBacklog), nil
}

// loadBacklog asks the store. An upload that is accepted meanwhile may be in
// its answer or not, and is counted beside it: rather twice, for a second, than
// not at all.
func (s *Service) loadBacklog(ctx context.Context, owner string) (*tenantBacklog, error) {
	b := &s.backlogs
	b.mu.Lock()
	t := b.byTenant[owner]
	if t == nil {
		t = &tenantBacklog{}
	}
	before := t.accepted
	b.mu.Unlock()

	asked := time.Now()
	known, err := s.Store.Backlog(ctx)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	t.loadedAt = asked
	t.stored = task.Backlog{Jobs: known.Jobs - before.Jobs, Bytes: known.Bytes - before.Bytes}
	b.put(owner, t)
	return t, nil
}

// put keeps the backlog of a tenant, and forgets those that nobody needs when
// there are many.
func (b *backlogCache) put(owner string, t *tenantBacklog) {
	if b.byTenant == nil {
		b.byTenant = map[string]*tenantBacklog{}
	}
	b.byTenant[owner] = t
	if len(b.byTenant) < b.evictAt {
		return
	}
	for id, other := range b.byTenant {
		if other.inFlight == 0 && time.Since(other.loadedAt) > maxBacklogAge {
			delete(b.byTenant, id)
		}
	}
	b.evictAt = max(minEvictSize, 2*len(b.byTenant))
}
