// Package garbage holds the entries of the garbage list, which names what may be
// deleted, the scan for what is not on it, and how long things are kept.
package garbage

import (
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Kind is what an entry of the garbage list names.
type Kind string

const (
	// KindVersion is a version that no reader can see any more.
	KindVersion Kind = "version"

	// KindObject is an object that no version and no upload names.
	KindObject Kind = "object"

	// KindPassages are passages of a space that may stand nowhere.
	KindPassages Kind = "passages"

	// KindSpace is a space that was left.
	KindSpace Kind = "space"

	// KindScan is a search of all rows for what no entry names.
	KindScan Kind = "search"
)

// Entry is an entry of the garbage list: what may be removed. The transaction
// that makes something garbage writes its entry.
type Entry struct {
	ID         int64
	Kind       Kind
	DocumentID uuid.UUID // of a version, and of passages that a task may place again
	Version    int
	Object     string
	SpaceID    int64
	Tries      int // how often it could not be removed
	ScanCursor ScanCursor
}

// MinAges say what of each list of garbage is due.
type MinAges struct {
	EntriesAhead time.Duration // of their time: entries of the garbage list

	// Since they were noted, released, made, and ended.
	Uploads, Sections, IdempotencyKeys, Deliveries time.Duration
}

const (
	// JobRetention is how long the job of a superseded version can be asked for
	// after its end.
	JobRetention = time.Hour

	// PassageRetention is how long passages are kept that a failed attempt has paid
	// for: time to see why a job failed, and to retry it.
	PassageRetention = 24 * time.Hour

	// MaxEntryHashes is the maximum number of passages that an entry names.
	MaxEntryHashes = 500
)

// String names the entry for errors and logs.
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
