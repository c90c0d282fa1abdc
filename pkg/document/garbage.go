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

	// GarbageSearch is a search of all rows for what no entry names.
	GarbageSearch GarbageKind = "search"
)

// Garbage is an entry of the garbage list: what may be removed. The transaction
// that makes something garbage writes its entry.
type Garbage struct {
	ID       int64
	Kind     GarbageKind
	Document uuid.UUID // of a version, and of passages that a task may place again
	Version  int
	Object   string
	Space    int64
	Tries    int // how often it could not be removed
	Reached  GarbageSearchCursor
}

// GarbageAges say what of each list of garbage is due.
type GarbageAges struct {
	Ahead time.Duration // of their time: entries of the garbage list

	// Since they were noted, released, made, and ended.
	Uploads, Sections, IdempotencyKeys, Deliveries time.Duration
}

// GarbageSearchCursor is how far a search of all rows is. The zero value is its
// beginning.
type GarbageSearchCursor struct {
	Stage    GarbageSearchStage `json:"stage,omitempty"`
	Document uuid.UUID          `json:"document,omitzero"` // the last one that was looked at
	Version  int                `json:"version,omitempty"`
	Space    int64              `json:"space,omitempty"`
	Hash     []byte             `json:"hash,omitempty"` // of a passage of the space, or a section
}

// GarbageSearchStage is a kind of row that is searched.
type GarbageSearchStage string

// The stages in order; SearchEnded follows the last one.
const (
	SearchVersions GarbageSearchStage = "" // of documents
	SearchSpaces   GarbageSearchStage = "spaces"
	SearchManifest GarbageSearchStage = "manifest"
	SearchPassages GarbageSearchStage = "passages"
	SearchSections GarbageSearchStage = "sections"
	SearchEnded    GarbageSearchStage = "ended"
)

// GarbageFound counts what a search found that no list named.
type GarbageFound struct {
	Versions int
	Spaces   int
	Passages int
	Sections int
}

// Add adds what another part of the search found.
func (f *GarbageFound) Add(other GarbageFound) {
	f.Versions += other.Versions
	f.Spaces += other.Spaces
	f.Passages += other.Passages
	f.Sections += other.Sections
}

// String says what was found.
func (f GarbageFound) String() string {
	return fmt.Sprintf("%d versions, %d spaces, %d passages, %d section summaries", f.Versions, f.Spaces, f.Passages, f.Sections)
}

const (
	// KeepJobs is how long the job of a superseded version can be asked for
	// after its end.
	KeepJobs = time.Hour

	// KeepPassages is how long passages are kept that a failed attempt has paid
	// for: time to see why a job failed, and to retry it.
	KeepPassages = 24 * time.Hour

	// GarbageHashes is the maximum number of passages that an entry names.
	GarbageHashes = 500
)

// String names the entry for errors and logs.
func (g Garbage) String() string {
	switch g.Kind {
	case GarbageVersion:
		return fmt.Sprintf("version %d of document %s", g.Version, g.Document)
	case GarbageObject:
		return "object " + g.Object
	case GarbagePassages:
		return fmt.Sprintf("passages of space %d", g.Space)
	case GarbageSpace:
		return fmt.Sprintf("space %d", g.Space)
	default:
		return string(g.Kind)
	}
}
