package storetest

import (
	"context"
	"time"

	"github.com/seed-7a112592/gristmill/internal/garbage"
)

// Garbage lists what may be removed, and when. The transaction that makes
// something garbage lists it:
//   - a version, when another has superseded it that readers see, or its document
//     is deleted;
//   - its object, when the last version is removed that names it;
//   - passages, when they lose a place, or are stored without one;
//   - a space, when it is left.
//
// An entry is dropped when what it names is needed, since what ends the need
// lists it again.
type Garbage interface {
	// Garbage returns up to limit entries that are due by now, or ahead of now,
	// those due the longest first.
	Garbage(ctx context.Context, ahead time.Duration, limit int) ([]garbage.Entry, error)

	// CollectGarbage removes up to limit rows of what an entry names, and reports whether
	// there may be more. With the last of it, and when it is needed, the entry goes.
	// fault.Conflict, with nothing removed, when it cannot be removed yet.
	//   - A version goes once its job has ended longer than document.KeepJobs ago,
	//     so that followers of the job have seen its end; that of a deleted document
	//     at once. With the last one goes the document. Its object and its passages
	//     are listed.
	//   - Passages go that stand nowhere. None goes that a concurrent Write places,
	//     nor one that an attempt of a task has paid for that may be tried again, nor
	//     one in a space that nothing is written to or that a reindex builds: what
	//     comes next may place it, and must not have to embed it again.
	//   - A space goes when its time is over, with its passages, places and
	//     space versions; never the live one, nor one that a reindex builds.
	// Objects and searches are not the store's to remove.
	CollectGarbage(ctx context.Context, g garbage.Entry, ahead time.Duration, limit int) (more bool, err error)

	// DeleteGarbageEntries removes entries.
	DeleteGarbageEntries(ctx context.Context, entries ...garbage.Entry) error

	// PostponeGarbage has an entry be due after delay, and counts a try. Of a search it
	// keeps how far that is.
	PostponeGarbage(ctx context.Context, g garbage.Entry, delay time.Duration) error

	// ScheduleGarbageScan lists a search of all rows, unless one is listed.
	ScheduleGarbageScan(ctx context.Context) error

	// ScanForGarbage looks through about limit rows for what is garbage and on no
	// list, lists it, and returns how far it is and what it found.
	ScanForGarbage(ctx context.Context, from garbage.ScanCursor, limit int) (garbage.ScanCursor, garbage.ScanCounts, error)
}

// Sweeping keeps the promises over time.
type Sweeping interface {
	// Tenants returns every tenant's id, in order.
	Tenants(ctx context.Context) ([]string, error)

	// These return, in order, the tenants of which something is due, and may
	// return others: those for which Garbage, AbandonUploads, DropSections,
	// DropIdempotencyKeys or DropDeliveries would do something; those with
	// deliveries to be taken; and those whose verification was never begun, is not
	// at its end, or was begun longer than age ago. They are not for a tenant. Their
	// cost hardly grows with tenants of which nothing is due.
	TenantsWithGarbage(ctx context.Context, ages garbage.MinAges) ([]string, error)
	TenantsWithDeliveries(ctx context.Context) ([]string, error)
	TenantsToVerify(ctx context.Context, age time.Duration) ([]string, error)

	// DeleteUnusedSectionSummaries removes section summaries that versions which are gone have
	// used, and that no other version uses. It looks at up to limit, those
	// released the longest ago first, and says at how many. It spares those
	// released less than quiet ago, and those released since an unended summary
	// task of the tenant was accepted, whose version may come to use them.
	DeleteUnusedSectionSummaries(ctx context.Context, quiet time.Duration, limit int) (int, error)

	// ExpireUploads lists the objects of up to limit uploads that were begun
	// longer than quiet ago and never accepted, as garbage that is due, sees to it
	// that they never will be, and says how many.
	ExpireUploads(ctx context.Context, quiet time.Duration, limit int) (int, error)

	// DeleteExpiredIdempotencyKeys removes up to limit idempotency keys that were first used longer
	// than age ago, and says how many.
	DeleteExpiredIdempotencyKeys(ctx context.Context, age time.Duration, limit int) (int, error)

	// TryWithLock runs fn while no other process runs under the same name, or
	// returns nil at once when one does.
	TryWithLock(ctx context.Context, name string, fn func(ctx context.Context) error) error
}
