package sweep

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/garbage"
	"github.com/seed-7a112592/gristmill/internal/goroutine"
	"github.com/seed-7a112592/gristmill/internal/telemetry"
	"github.com/seed-7a112592/gristmill/internal/verification"
)

// GarbageCollectorStore keeps the lists of what may be removed; see storetest.Garbage
// and Sweeping for the contract.
type GarbageCollectorStore interface {
	TenantsWithGarbage(ctx context.Context, ages garbage.MinAges) ([]string, error)
	Garbage(ctx context.Context, ahead time.Duration, limit int) ([]garbage.Entry, error)
	CollectGarbage(ctx context.Context, g garbage.Entry, ahead time.Duration, limit int) (more bool, err error)
	DeleteGarbageEntries(ctx context.Context, entries ...garbage.Entry) error
	PostponeGarbage(ctx context.Context, g garbage.Entry, delay time.Duration) error
	ScanForGarbage(ctx context.Context, from garbage.ScanCursor, limit int) (garbage.ScanCursor, garbage.ScanCounts, error)
	ExpireUploads(ctx context.Context, quiet time.Duration, limit int) (int, error)
	DeleteUnusedSectionSummaries(ctx context.Context, quiet time.Duration, limit int) (int, error)
	DeleteExpiredIdempotencyKeys(ctx context.Context, age time.Duration, limit int) (int, error)
	DeleteEndedDeliveries(ctx context.Context, age time.Duration, limit int) (int, error)
	TryWithLock(ctx context.Context, name string, fn func(ctx context.Context) error) error
}

// Objects holds originals. Delete also removes what was written of one whose
// upload broke off; deleting one that is gone already is no error.
type Objects interface {
	Delete(ctx context.Context, name string) error
}

// GarbageCollector removes what nobody refers to any more. It reads lists of it, and
// searches for nothing.
type GarbageCollector struct {
	Store   GarbageCollectorStore
	Objects Objects
	Metrics *telemetry.Metrics
	Log     *slog.Logger

	// Grace is how long an object whose upload may be under way, and a section
	// summary that no version uses, are left alone.
	Grace time.Duration

	// Ahead has entries be due before their time. Tests set it.
	Ahead time.Duration

	lastTenant string // tenant that things were removed of
}

// DefaultGrace is longer than any upload should take.
const DefaultGrace = 24 * time.Hour

const (
	// idempotencyKeyRetention is how long an idempotency key is good for.
	idempotencyKeyRetention = 24 * time.Hour

	// deliveryRetention is how long it can be seen what became of a delivery to a
	// webhook.
	deliveryRetention = 7 * 24 * time.Hour

	// entryLimit is the number of entries that are read at a time, and
	// collectRows the maximum number of rows that one transaction removes.
	entryLimit = 100
	rowLimit   = 1000

	// roundTime is how long one round removes things, turnTime how long it does
	// so for a tenant before the next, and searchTime how long it searches for
	// what no list names. The next round goes on.
	roundTime  = 10 * time.Second
	tenantTime = time.Second
	searchTime = time.Second

	// maxStorageFailures is how often object storage is unavailable in a round until its
	// objects are postponed without trying.
	maxStorageFailures = 3

	// The delay before what could not be removed is tried again doubles from the
	// first to the last.
	minPostponement = time.Minute
	maxPostponement = time.Hour
)

// Run collects until ctx ends: at once, and then on a timer. Any number of
// processes may run it; one at a time collects. The queue is filled meanwhile.
func (c *GarbageCollector) Run(ctx context.Context) {
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	for {
		if err := c.CollectGarbage(ctx); err != nil && ctx.Err() == nil {
			c.Log.WarnContext(ctx, "garbage collection cut short; the next round goes on", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// CollectGarbage runs one round, unless another process is in one: it removes some
// things of each tenant in turn, until nothing is left or time is up. A tenant
// or a kind of thing that cannot be removed now does not keep the others.
func (c *GarbageCollector) CollectGarbage(ctx context.Context) error {
	return goroutine.Try(func() error { return c.Store.TryWithLock(ctx, "garbage", c.runRound) })
}

func (c *GarbageCollector) runRound(ctx context.Context) error {
	tenants, err := c.Store.TenantsWithGarbage(ctx, garbage.MinAges{
		EntriesAhead: c.Ahead, Uploads: c.Grace, Sections: c.Grace, IdempotencyKeys: idempotencyKeyRetention, Deliveries: deliveryRetention,
	})
	if err != nil {
		return fmt.Errorf("list tenants with garbage: %w", err)
	}
	r := collectionRound{GarbageCollector: c, until: time.Now().Add(roundTime), searchLeft: searchTime, failuresLeft: maxStorageFailures}
	var errs []error
	// Whom the last round has not come to is first.
	next, found := slices.BinarySearch(tenants, c.lastTenant)
	if found {
		next++
	}
	tenants = slices.Concat(tenants[next:], tenants[:next])
	for len(tenants) > 0 {
		var unfinished []string
		for _, id := range tenants {
			if r.timeUp() {
				return errors.Join(errs...)
			}
			c.lastTenant = id
			more, err := r.collectTenant(telemetry.WithTenant(ctx, id))
			if err != nil {
				errs = append(errs, fmt.Errorf("collect garbage of tenant %s: %w", id, err))
			} else if more {
				unfinished = append(unfinished, id)
			}
		}
		tenants = unfinished
	}
	return errors.Join(errs...)
}

// collectionRound is one round of a collector.
type collectionRound struct {
	*GarbageCollector
	until      time.Time
	searchLeft time.Duration // that is left for searches

	failuresLeft int // of object storage that are left until it counts as down
}

func (r *collectionRound) timeUp() bool { return time.Now().After(r.until) }

// collectTenant removes some things of each kind of the tenant in ctx, and reports
// whether there may be more.
func (r *collectionRound) collectTenant(ctx context.Context) (more bool, err error) {
	var errs []error
	for _, kind := range []func(context.Context) (int, error){
		func(ctx context.Context) (int, error) { return r.Store.ExpireUploads(ctx, r.Grace, rowLimit) },
		func(ctx context.Context) (int, error) {
			return r.Store.DeleteUnusedSectionSummaries(ctx, r.Grace, rowLimit)
		},
		func(ctx context.Context) (int, error) {
			return r.Store.DeleteExpiredIdempotencyKeys(ctx, idempotencyKeyRetention, rowLimit)
		},
		func(ctx context.Context) (int, error) {
			return r.Store.DeleteEndedDeliveries(ctx, deliveryRetention, rowLimit)
		},
	} {
		n, err := kind(ctx)
		more = more || n >= rowLimit
		errs = append(errs, err)
	}
	moreListed, err := r.collectListed(ctx)
	return more || moreListed, errors.Join(append(errs, err)...)
}

// collectListed removes what the entries name that are due first. One that
// cannot be removed now is postponed.
func (r *collectionRound) collectListed(ctx context.Context) (more bool, err error) {
	due, err := r.Store.Garbage(ctx, r.Ahead, entryLimit)
	if err != nil {
		return false, err
	}
	var deleted []garbage.Entry // entries whose objects are gone
	turn := time.Now().Add(tenantTime)
	for _, g := range due {
		if r.timeUp() || time.Now().After(turn) {
			break
		}
		var err error
		switch g.Kind {
		case garbage.KindObject:
			if err = r.deleteObject(ctx, g); err == nil {
				deleted = append(deleted, g)
			}
		case garbage.KindScan:
			if len(due) == 1 && r.searchLeft > 0 { // after all else
				return r.searchGarbage(ctx, g)
			}
			continue
		default:
			err = r.collectRows(ctx, g, turn)
		}
		if err != nil {
			if ctx.Err() != nil {
				return false, err
			}
			if err := r.postpone(ctx, g, err); err != nil {
				return false, err
			}
		}
		more = true
	}
	if len(deleted) > 0 {
		err = r.Store.DeleteGarbageEntries(ctx, deleted...)
	}
	return more, err
}

// deleteObject deletes the object of an entry, unless object storage is down.
func (r *collectionRound) deleteObject(ctx context.Context, g garbage.Entry) error {
	if r.failuresLeft == 0 {
		return errStorageDown
	}
	err := r.Objects.Delete(ctx, g.Object)
	if fault.Is(err, fault.Unavailable) {
		r.failuresLeft--
	}
	return err
}

// errStorageDown says why an object was not tried.
var errStorageDown = fault.New(fault.Conflict, "object storage could not be used a moment ago")

// collectRows removes what an entry names, some rows at a time.
func (r *collectionRound) collectRows(ctx context.Context, g garbage.Entry, turn time.Time) error {
	for {
		more, err := r.Store.CollectGarbage(ctx, g, r.Ahead, rowLimit)
		if err != nil || !more || time.Now().After(turn) {
			return err
		}
	}
}

// postpone postpones an entry. What is only needed a while longer is no trouble
// to report.
func (r *collectionRound) postpone(ctx context.Context, g garbage.Entry, why error) error {
	delay := maxPostponement
	switch {
	case errors.Is(why, errStorageDown):
		delay = minPostponement
	case g.Tries < 6:
		delay = minPostponement << g.Tries
	}
	level := slog.LevelWarn
	if fault.Is(why, fault.Conflict) {
		level = slog.LevelDebug
	}
	r.Log.Log(ctx, level, "garbage cannot be removed now; trying again later", "garbage", g.String(), "tries", g.Tries+1, "delay", delay, "error", why)
	return r.Store.PostponeGarbage(ctx, g, delay)
}

// searchGarbage goes on with a search of all rows for garbage that no list
// names, and has the next round go on with it.
func (r *collectionRound) searchGarbage(ctx context.Context, g garbage.Entry) (more bool, err error) {
	var found garbage.ScanCounts
	start := time.Now()
	until := start.Add(r.searchLeft)
	for g.ScanCursor.Stage != garbage.ScanEnded && !r.timeUp() && !time.Now().After(until) {
		next, part, err := r.Store.ScanForGarbage(ctx, g.ScanCursor, rowLimit)
		if err != nil {
			return false, err
		}
		g.ScanCursor = next
		found.Add(part)
	}
	r.searchLeft -= time.Since(start)
	if found != (garbage.ScanCounts{}) {
		r.Metrics.ObserveFinding(string(verification.FindingGarbageUnlisted))
		r.Log.WarnContext(ctx, "found garbage that no list named; it is listed now", "found", found.String())
	}
	if g.ScanCursor.Stage == garbage.ScanEnded {
		r.Log.InfoContext(ctx, "all rows are searched for garbage that no list names")
		return found != (garbage.ScanCounts{}), r.Store.DeleteGarbageEntries(ctx, g)
	}
	return false, r.Store.PostponeGarbage(ctx, g, 0)
}
