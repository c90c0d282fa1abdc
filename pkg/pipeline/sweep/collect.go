package sweep

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
	"github.com/seed-7a112592/gristmill/pkg/goroutine"
	"github.com/seed-7a112592/gristmill/pkg/telemetry"
)

// CollectorStore keeps the lists of what may be removed; see storetest.Garbage
// and Sweeping for the contract.
type CollectorStore interface {
	TenantsWithGarbage(ctx context.Context, ages document.GarbageAges) ([]string, error)
	Garbage(ctx context.Context, ahead time.Duration, limit int) ([]document.Garbage, error)
	Collect(ctx context.Context, g document.Garbage, ahead time.Duration, limit int) (more bool, err error)
	Unlist(ctx context.Context, entries ...document.Garbage) error
	Postpone(ctx context.Context, g document.Garbage, delay time.Duration) error
	SearchGarbage(ctx context.Context, from document.GarbageSearchCursor, limit int) (document.GarbageSearchCursor, document.GarbageFound, error)
	AbandonUploads(ctx context.Context, quiet time.Duration, limit int) (int, error)
	DropSections(ctx context.Context, quiet time.Duration, limit int) (int, error)
	DropIdempotencyKeys(ctx context.Context, age time.Duration, limit int) (int, error)
	DropDeliveries(ctx context.Context, age time.Duration, limit int) (int, error)
	Exclusively(ctx context.Context, name string, fn func(ctx context.Context) error) error
}

// Objects holds originals. Delete also removes what was written of one whose
// upload broke off; deleting one that is gone already is no error.
type Objects interface {
	Delete(ctx context.Context, name string) error
}

// Collector removes what nobody refers to any more. It reads lists of it, and
// searches for nothing.
type Collector struct {
	Store   CollectorStore
	Objects Objects
	Metrics *telemetry.Metrics
	Log     *slog.Logger

	// Grace is how long an object whose upload may be under way, and a section
	// summary that no version uses, are left alone.
	Grace time.Duration

	// Ahead has entries be due before their time. Tests set it.
	Ahead time.Duration

	last string // tenant that things were removed of
}

// DefaultGrace is longer than any upload should take.
const DefaultGrace = 24 * time.Hour

const (
	// keepKeys is how long an idempotency key is good for.
	keepKeys = 24 * time.Hour

	// keepDeliveries is how long it can be seen what became of a delivery to a
	// webhook.
	keepDeliveries = 7 * 24 * time.Hour

	// collectEntries is the number of entries that are read at a time, and
	// collectRows the maximum number of rows that one transaction removes.
	collectEntries = 100
	collectRows    = 1000

	// collectTime is how long one round removes things, turnTime how long it does
	// so for a tenant before the next, and searchTime how long it searches for
	// what no list names. The next round goes on.
	collectTime = 10 * time.Second
	turnTime    = time.Second
	searchTime  = time.Second

	// maxFailures is how often object storage is unavailable in a round until its
	// objects are postponed without trying.
	maxFailures = 3

	// The delay before what could not be removed is tried again doubles from the
	// first to the last.
	firstDelay = time.Minute
	lastDelay  = time.Hour
)

// Run collects until ctx ends: at once, and then on a timer. Any number of
// processes may run it; one at a time collects. The queue is filled meanwhile.
func (c *Collector) Run(ctx context.Context) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		if err := c.Collect(ctx); err != nil && ctx.Err() == nil {
			c.Log.WarnContext(ctx, "garbage collection cut short; the next round goes on", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Collect runs one round, unless another process is in one: it removes some
// things of each tenant in turn, until nothing is left or time is up. A tenant
// or a kind of thing that cannot be removed now does not keep the others.
func (c *Collector) Collect(ctx context.Context) error {
	return goroutine.Try(func() error { return c.Store.Exclusively(ctx, "garbage", c.round) })
}

func (c *Collector) round(ctx context.Context) error {
	tenants, err := c.Store.TenantsWithGarbage(ctx, document.GarbageAges{
		Ahead: c.Ahead, Uploads: c.Grace, Sections: c.Grace, IdempotencyKeys: keepKeys, Deliveries: keepDeliveries,
	})
	if err != nil {
		return fmt.Errorf("list tenants with garbage: %w", err)
	}
	r := round{Collector: c, until: time.Now().Add(collectTime), search: searchTime, failures: maxFailures}
	var errs []error
	// Whom the last round has not come to is first.
	next, found := slices.BinarySearch(tenants, c.last)
	if found {
		next++
	}
	tenants = slices.Concat(tenants[next:], tenants[:next])
	for len(tenants) > 0 {
		var unfinished []string
		for _, id := range tenants {
			if r.over() {
				return errors.Join(errs...)
			}
			c.last = id
			more, err := r.collect(of(ctx, id))
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

// round is one round of a collector.
type round struct {
	*Collector
	until  time.Time
	search time.Duration // that is left for searches

	failures int // of object storage that are left until it counts as down
}

func (r *round) over() bool { return time.Now().After(r.until) }

// collect removes some things of each kind of the tenant in ctx, and reports
// whether there may be more.
func (r *round) collect(ctx context.Context) (more bool, err error) {
	var errs []error
	for _, kind := range []func(context.Context) (int, error){
		func(ctx context.Context) (int, error) { return r.Store.AbandonUploads(ctx, r.Grace, collectRows) },
		func(ctx context.Context) (int, error) { return r.Store.DropSections(ctx, r.Grace, collectRows) },
		func(ctx context.Context) (int, error) {
			return r.Store.DropIdempotencyKeys(ctx, keepKeys, collectRows)
		},
		func(ctx context.Context) (int, error) {
			return r.Store.DropDeliveries(ctx, keepDeliveries, collectRows)
		},
	} {
		n, err := kind(ctx)
		more = more || n >= collectRows
		errs = append(errs, err)
	}
	moreListed, err := r.collectListed(ctx)
	return more || moreListed, errors.Join(append(errs, err)...)
}

// collectListed removes what the entries name that are due first. One that
// cannot be removed now is postponed.
func (r *round) collectListed(ctx context.Context) (more bool, err error) {
	due, err := r.Store.Garbage(ctx, r.Ahead, collectEntries)
	if err != nil {
		return false, err
	}
	var deleted []document.Garbage // entries whose objects are gone
	turn := time.Now().Add(turnTime)
	for _, g := range due {
		if r.over() || time.Now().After(turn) {
			break
		}
		var err error
		switch g.Kind {
		case document.GarbageObject:
			if err = r.deleteObject(ctx, g); err == nil {
				deleted = append(deleted, g)
			}
		case document.GarbageSearch:
			if len(due) == 1 && r.search > 0 { // after all else
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
		err = r.Store.Unlist(ctx, deleted...)
	}
	return more, err
}

// deleteObject deletes the object of an entry, unless object storage is down.
func (r *round) deleteObject(ctx context.Context, g document.Garbage) error {
	if r.failures == 0 {
		return errStorageDown
	}
	err := r.Objects.Delete(ctx, g.Object)
	if fault.Is(err, fault.Unavailable) {
		r.failures--
	}
	return err
}

// errStorageDown says why an object was not tried.
var errStorageDown = fault.New(fault.Conflict, "object storage could not be used a moment ago")

// collectRows removes what an entry names, some rows at a time.
func (r *round) collectRows(ctx context.Context, g document.Garbage, turn time.Time) error {
	for {
		more, err := r.Store.Collect(ctx, g, r.Ahead, collectRows)
		if err != nil || !more || time.Now().After(turn) {
			return err
		}
	}
}

// postpone postpones an entry. What is only needed a while longer is no trouble
// to report.
func (r *round) postpone(ctx context.Context, g document.Garbage, why error) error {
	delay := lastDelay
	switch {
	case errors.Is(why, errStorageDown):
		delay = firstDelay
	case g.Tries < 6:
		delay = firstDelay << g.Tries
	}
	level := slog.LevelWarn
	if fault.Is(why, fault.Conflict) {
		level = slog.LevelDebug
	}
	r.Log.Log(ctx, level, "garbage cannot be removed now; trying again later", "garbage", g.String(), "tries", g.Tries+1, "delay", delay, "error", why)
	return r.Store.Postpone(ctx, g, delay)
}

// searchGarbage goes on with a search of all rows for garbage that no list
// names, and has the next round go on with it.
func (r *round) searchGarbage(ctx context.Context, g document.Garbage) (more bool, err error) {
	var found document.GarbageFound
	start := time.Now()
	until := start.Add(r.search)
	for g.Reached.Stage != document.SearchEnded && !r.over() && !time.Now().After(until) {
		next, part, err := r.Store.SearchGarbage(ctx, g.Reached, collectRows)
		if err != nil {
			return false, err
		}
		g.Reached = next
		found.Add(part)
	}
	r.search -= time.Since(start)
	if found != (document.GarbageFound{}) {
		r.Metrics.ObserveFinding(string(document.GarbageUnlisted))
		r.Log.WarnContext(ctx, "found garbage that no list named; it is listed now", "found", found.String())
	}
	if g.Reached.Stage == document.SearchEnded {
		r.Log.InfoContext(ctx, "all rows are searched for garbage that no list names")
		return found != (document.GarbageFound{}), r.Store.Unlist(ctx, g)
	}
	return false, r.Store.Postpone(ctx, g, 0)
}
