package document

import (
	"fmt"
	"time"

	"github.com/google/uuid"
)

// GarbageKind is what an entry of the garbage list names.
type GarbageKind string

const (
	// GarbageVersion is a version that no reader can see any more.
	GarbageVersion GarbageKind = "version"

	// GarbageObject is an object that no version and no upload names.
	GarbageObject GarbageKind = "object"

	// GarbagePassages are passages of a space that may stand nowhere.
	GarbagePassages GarbageKind = "passages"

	// GarbageSpace is a space that was left.
	GarbageSpace GarbageKind = "space"

	// GarbageScan is a search of all rows for what no entry names.
	GarbageScan GarbageKind = "search"
)

// Garbage is an entry of the garbage list: what may be removed. The transaction
// that makes something garbage writes its entry.
type Garbage struct {
	ID         int64
	Kind       GarbageKind
	DocumentID uuid.UUID // of a version, and of passages that a task may place again
	Version    int
	Object     string
	SpaceID    int64
	Tries      int // how often it could not be removed
	ScanCursor GarbageScanCursor
}

// GarbageMinAges say what of each list of garbage is due.
type GarbageMinAges struct {
	EntriesAhead time.Duration // of their time: entries of the garbage list

	// Since they were noted, released, made, and ended.
	Uploads, Sections, IdempotencyKeys, Deliveries time.Duration
}

// GarbageScanCursor is how far a search of all rows is. The zero value is its
// beginning.
type GarbageScanCursor struct {
	Stage      GarbageScanStage `json:"stage,omitempty"`
	DocumentID uuid.UUID        `json:"document,omitzero"` // the last one that was looked at
	Version    int              `json:"version,omitempty"`
	SpaceID    int64            `json:"space,omitempty"`
	Hash       []byte           `json:"hash,omitempty"` // of a passage of the space, or a section
}

// GarbageScanStage is a kind of row that is searched.
type GarbageScanStage string

// The stages in order; SearchEnded follows the last one.
const (
	ScanVersions GarbageScanStage = "" // of documents
	ScanSpaces   GarbageScanStage = "spaces"
	ScanManifest GarbageScanStage = "manifest"
	ScanPassages GarbageScanStage = "passages"
	ScanSections GarbageScanStage = "sections"
	ScanEnded    GarbageScanStage = "ended"
)

// GarbageScanCounts counts what a search found that no list named.
type GarbageScanCounts struct {
	Versions int
	Spaces   int
	Passages int
	Sections int
}

// Add adds what another part of the search found.
func (f *GarbageScanCounts) Add(other GarbageScanCounts) {
	f.Versions += other.Versions
	f.Spaces += other.Spaces
	f.Passages += other.Passages
	f.Sections += other.Sections
}

// String says what was found.
func (f GarbageScanCounts) String() string {
	return fmt.Sprintf("%d versions, %d spaces, %d passages, %d section summaries", f.Versions, f.Spaces, f.Passages, f.Sections)
}

const (
	// JobRetention is how long the job of a superseded version can be asked for
	// after its end.
	JobRetention = time.Hour

	// PassageRetention is how long passages are kept that a failed attempt has paid
	// for: time to see why a job failed, and to retry it.
	PassageRetention = 24 * time.Hour

	// MaxGarbageHashes is the maximum number of passages that an entry names.
	MaxGarbageHashes = 500
)

// String names the entry for errors and logs.
func (g Garbage) String() string {
	switch g.Kind {
	case GarbageVersion:
		return fmt.Sprintf("version %d of document %s", g.Version, g.DocumentID)
	case GarbageObject:
		return "object " + g.Object
	case GarbagePassages:
		return fmt.Sprintf("passages of space %d", g.SpaceID)
	case GarbageSpace:
		return fmt.Sprintf("space %d", g.SpaceID)
	default:
		return string(g.Kind)
	}
}
