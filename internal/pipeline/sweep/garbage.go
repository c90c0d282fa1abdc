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
	"github.com/seed-7a112592/gristmill/internal/required"
	"github.com/seed-7a112592/gristmill/internal/telemetry"
	"github.com/seed-7a112592/gristmill/internal/verification"
)

// GarbageCollectorStore keeps the garbage list and other data that expires; see storetest.Garbage
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

// Objects holds originals. Delete also deletes the parts of an upload that was interrupted. It
// returns nil if the object does not exist.
type Objects interface {
	Delete(ctx context.Context, name string) error
}

// GarbageCollectorConfig is what a GarbageCollector needs.
type GarbageCollectorConfig struct {
	Store   GarbageCollectorStore
	Objects Objects
	Metrics *telemetry.Metrics
	Log     *slog.Logger

	// Grace is how long the collector leaves alone an object whose upload may be under way, and
	// a section summary that no version uses.
	Grace time.Duration

	// Ahead makes garbage entries due this long before their time. Only tests set it.
	Ahead time.Duration `zero:"ok"`
}

// GarbageCollector deletes data that is no longer referenced. It reads the garbage list, so it
// does not have to search for garbage; only a scheduled scan does.
type GarbageCollector struct {
	GarbageCollectorConfig
	lastTenant string // last tenant whose garbage was collected
}

// NewGarbageCollector returns a GarbageCollector, or an error that names what config lacks.
func NewGarbageCollector(config GarbageCollectorConfig) (*GarbageCollector, error) {
	if err := required.Fields(config); err != nil {
		return nil, err
	}
	return &GarbageCollector{GarbageCollectorConfig: config}, nil
}

// DefaultGrace is longer than any upload should take.
const DefaultGrace = 24 * time.Hour

const (
	// idempotencyKeyRetention is how long an idempotency key is kept after its first use.
	idempotencyKeyRetention = 24 * time.Hour

	// deliveryRetention is how long a delivery to a webhook is kept after its end, so that
	// clients can see its outcome.
	deliveryRetention = 7 * 24 * time.Hour

	// entryLimit is the number of garbage entries that are read at a time. rowLimit is the maximum
	// number of rows that one transaction deletes.
	entryLimit = 100
	rowLimit   = 1000

	// roundTime bounds a round, and tenantTime the time that a round spends on one tenant before
	// it goes on to the next. scanTime bounds the time for scans in a round. The next round
	// continues.
	roundTime  = 10 * time.Second
	tenantTime = time.Second
	scanTime   = time.Second

	// maxStorageFailures is the number of times that object storage may be unavailable in a round.
	// After that, the round postpones objects without trying to delete them.
	maxStorageFailures = 3

	// The delay before an entry that cannot be deleted is tried again doubles from minPostponement
	// to maxPostponement.
	minPostponement = time.Minute
	maxPostponement = time.Hour
)

// Run runs rounds until ctx ends: immediately, and then on a timer. Any number of processes may
// call it; one of them collects at a time. The queue is filled meanwhile.
func (c *GarbageCollector) Run(ctx context.Context) {
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	for {
		if err := c.CollectGarbage(ctx); err != nil && ctx.Err() == nil {
			c.Log.WarnContext(ctx, "garbage collection failed; the next round continues", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// CollectGarbage runs one round, unless another process is in one. A round deletes some garbage of
// each tenant in turn, until none is left or its time is up. If the garbage of one tenant or of
// one kind cannot be deleted now, the round goes on with the others.
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
	r := collectionRound{GarbageCollector: c, until: time.Now().Add(roundTime), scanTimeLeft: scanTime, failuresLeft: maxStorageFailures}
	var errs []error
	// Begin with the tenant after the one that the last round ended with.
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

// collectionRound is one round of a GarbageCollector.
type collectionRound struct {
	*GarbageCollector
	until time.Time

	scanTimeLeft time.Duration
	failuresLeft int // number of further failures until object storage counts as down
}

func (r *collectionRound) timeUp() bool { return time.Now().After(r.until) }

// collectTenant deletes some garbage of each kind of ctx's tenant, and reports whether there may
// be more.
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

// collectListed deletes what the garbage entries name that are due first. It postpones entries
// whose data cannot be deleted now.
func (r *collectionRound) collectListed(ctx context.Context) (more bool, err error) {
	due, err := r.Store.Garbage(ctx, r.Ahead, entryLimit)
	if err != nil {
		return false, err
	}
	var deleted []garbage.Entry // entries whose objects are deleted
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
			if len(due) == 1 && r.scanTimeLeft > 0 { // scan when nothing else is due
				return r.scanForGarbage(ctx, g)
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

// deleteObject deletes the object of an entry, unless object storage counts as down.
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

// errStorageDown is the reason for postponing an object without trying to delete it.
var errStorageDown = fault.New(fault.Conflict, "object storage was unavailable a moment ago")

// collectRows deletes what an entry names, rowLimit rows at a time.
func (r *collectionRound) collectRows(ctx context.Context, g garbage.Entry, turn time.Time) error {
	for {
		more, err := r.Store.CollectGarbage(ctx, g, r.Ahead, rowLimit)
		if err != nil || !more || time.Now().After(turn) {
			return err
		}
	}
}

// postpone postpones an entry. It logs a warning, unless the data is only needed for longer.
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
	r.Log.Log(ctx, level, "garbage cannot be deleted now; trying again later", "garbage", g.String(), "tries", g.Tries+1, "delay", delay, "error", why)
	return r.Store.PostponeGarbage(ctx, g, delay)
}

// scanForGarbage continues a scan of all rows for garbage that is not on the list, until the
// round's time for scans is used up. The next round continues the scan.
func (r *collectionRound) scanForGarbage(ctx context.Context, g garbage.Entry) (more bool, err error) {
	var found garbage.ScanCounts
	start := time.Now()
	until := start.Add(r.scanTimeLeft)
	for g.ScanCursor.Stage != garbage.ScanEnded && !r.timeUp() && !time.Now().After(until) {
		next, part, err := r.Store.ScanForGarbage(ctx, g.ScanCursor, rowLimit)
		if err != nil {
			return false, err
		}
		g.ScanCursor = next
		found.Add(part)
	}
	r.scanTimeLeft -= time.Since(start)
	if found != (garbage.ScanCounts{}) {
		r.Metrics.ObserveFinding(string(verification.FindingGarbageUnlisted))
		r.Log.WarnContext(ctx, "found garbage that was not on the garbage list; added it", "found", found.String())
	}
	if g.ScanCursor.Stage == garbage.ScanEnded {
		r.Log.InfoContext(ctx, "scan of all rows for unlisted garbage has ended")
		return found != (garbage.ScanCounts{}), r.Store.DeleteGarbageEntries(ctx, g)
	}
	return false, r.Store.PostponeGarbage(ctx, g, 0)
}
