// Package garbage holds the entries of the garbage list, which names what may be deleted; the
// scan for garbage that is not on the list; and retention times.
package garbage

import (
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Kind is the kind of data that an entry of the garbage list names.
type Kind string

const (
	// KindVersion is an obsolete version, which no reader can see.
	KindVersion Kind = "version"

	// KindObject is an object that no version and no upload names.
	KindObject Kind = "object"

	// KindPassages are passages of a space that may have no manifest entry.
	KindPassages Kind = "passages"

	// KindSpace is a space that its collection no longer uses.
	KindSpace Kind = "space"

	// KindScan is a scan of all rows for garbage that is not on the list.
	KindScan Kind = "search"
)

// Entry is an entry of the garbage list: data that may be deleted. The transaction that makes
// data garbage writes the entry.
type Entry struct {
	ID         int64
	Kind       Kind
	DocumentID uuid.UUID // for a version, and for passages that a task of this version may use again
	Version    int
	Object     string
	SpaceID    int64
	Tries      int // number of failed attempts to delete it
	ScanCursor ScanCursor
}

// MinAges say from which age garbage of each kind is due.
type MinAges struct {
	EntriesAhead time.Duration // entries of the garbage list are due this long before their time

	// Ages since an upload was noted, a section summary was released, an idempotency key was
	// made, and a delivery ended.
	Uploads, Sections, IdempotencyKeys, Deliveries time.Duration
}

const (
	// JobRetention is how long the job of a superseded version is kept after it has ended.
	JobRetention = time.Hour

	// PassageRetention is how long the passages of a failed attempt, which are paid for, are
	// kept: time to find out why a job failed, and to retry it.
	PassageRetention = 24 * time.Hour

	// MaxEntryHashes is the maximum number of passages in one entry.
	MaxEntryHashes = 500
)

// String describes the entry for errors and logs.
func (g Entry) String() string {
	switch g.Kind {
	case KindVersion:
		return fmt.Sprintf("version %d of document %s", g.Version, g.DocumentID)
	case KindObject:
		return "object " + g.Object
	case KindPassages:
		return fmt.Sprintf("passages of space %d", g.SpaceID)
	case KindSpace:
		return fmt.Sprintf("space %d", g.SpaceID)
	default:
		return string(g.Kind)
	}
}
