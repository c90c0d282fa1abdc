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
	// maxBacklogAge is how long the backlog that the store returned is used.
	maxBacklogAge = time.Second

	// minEvictSize is the number of tenants whose backlogs are kept whatever their age.
	minEvictSize = 1000

	// backlogRetryAfter is the delay after which a refused client may try again.
	backlogRetryAfter = 10 * time.Second
)

// backlogCache holds the backlog of each tenant, so that refusing an upload costs next to nothing.
// The zero value is empty.
type backlogCache struct {
	mu       sync.Mutex
	byTenant map[string]*tenantBacklog
	loads    singleflight.Group // loads from the store, by tenant

	evictAt int // size at which old backlogs are removed next
}

// tenantBacklog is the backlog of one tenant: stored plus accepted, plus uploads under way.
type tenantBacklog struct {
	loadedAt time.Time    // when stored was loaded; zero if never
	stored   task.Backlog // from the store, less what this process had accepted by then
	accepted task.Backlog // what this process has ever accepted
	inFlight int64        // number of admitted uploads under way in this process
}

// admitUpload admits an upload, or refuses it with fault.RateLimited if the backlog of the tenant has
// reached a limit. The caller must call release with the result of the upload.
//
// Within one process, no more jobs are admitted than the limit allows, because uploads under way
// count. The size of an upload is known only at its end, so uploads that are admitted together may
// exceed the limit of bytes. What other processes accept, and what workers finish, counts after a
// second.
func (s *Service) admitUpload(ctx context.Context, tenantID string) (release func(document.Accepted), err error) {
	t, err := s.cachedBacklog(ctx, tenantID)
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
			"backlog limit reached: %d documents are queued or being processed, and GRISTMILL_MAX_QUEUED_JOBS allows %d; send this one again when some are done",
			jobs, s.BacklogLimit.Jobs).WithRetryAfter(backlogRetryAfter)
	case bytes >= s.BacklogLimit.Bytes:
		return nil, fault.New(fault.RateLimited,
			"backlog limit reached: %d bytes of documents are queued or being processed, and GRISTMILL_MAX_QUEUED_BYTES allows %d; send this one again when some are done",
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

// cachedBacklog returns the backlog of the tenant. It loads the backlog from the store if the cached
// one is too old. Concurrent callers share one load.
func (s *Service) cachedBacklog(ctx context.Context, tenantID string) (*tenantBacklog, error) {
	b := &s.backlogs
	b.mu.Lock()
	t := b.byTenant[tenantID]
	fresh := t != nil && time.Since(t.loadedAt) < maxBacklogAge
	b.mu.Unlock()
	if fresh {
		return t, nil
	}
	loaded, err, _ := b.loads.Do(tenantID, func() (any, error) {
		// Other callers wait for this load, so it goes on when this caller's context ends.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), beginTimeout)
		defer cancel()
		return s.loadBacklog(ctx, tenantID)
	})
	if err != nil {
		return nil, err
	}
	return loaded.(*tenantBacklog), nil
}

// loadBacklog loads the backlog from the store. What is accepted meanwhile may or may not be in the
// store's result, and is added to it: so it may count twice for a second, but never not at all.
func (s *Service) loadBacklog(ctx context.Context, tenantID string) (*tenantBacklog, error) {
	b := &s.backlogs
	b.mu.Lock()
	t := b.byTenant[tenantID]
	if t == nil {
		t = &tenantBacklog{}
	}
	before := t.accepted
	b.mu.Unlock()

	loadedAt := time.Now()
	stored, err := s.Store.Backlog(ctx)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	t.loadedAt = loadedAt
	t.stored = task.Backlog{Jobs: stored.Jobs - before.Jobs, Bytes: stored.Bytes - before.Bytes}
	b.put(tenantID, t)
	return t, nil
}

// put stores the backlog of a tenant. If there are many, it removes those that are old and without
// uploads under way.
func (b *backlogCache) put(tenantID string, t *tenantBacklog) {
	if b.byTenant == nil {
		b.byTenant = map[string]*tenantBacklog{}
	}
	b.byTenant[tenantID] = t
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
