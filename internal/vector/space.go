// Package vector holds the vector spaces of collections, the passages and manifest
// entries that are stored in them, and the query of one.
package vector

import (
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// MaxDimensions is the length of the longest vectors that can be stored.
const MaxDimensions = 16000

// SpaceVersion says that a version stands whole in a space, and with how many
// passages.
type SpaceVersion struct {
	SpaceID  int64
	Passages int64
	Warnings document.Warnings // of these passages
}

// TooManyCollectionsDetail is the detail of a store's refusal to make a collection. It
// takes the collection's name and the limit.
const TooManyCollectionsDetail = "collection %q was not made: there are as many collections as GRISTMILL_MAX_COLLECTIONS allows, %d; " +
	"upload into one that is there, under a key or with metadata that a search can filter by, or have the limit raised"

// Space is one embedding model with one chunking, in one collection. Vectors
// of different spaces are never compared.
type Space struct {
	ID           int64
	CollectionID uuid.UUID
	Model        document.Model
	Chunking     document.Chunking
	Indexed      bool // for approximate search; while not, it is searched exactly
	OwnTable     bool // its passages stand in a table of its own; SQLite has one for all

	// SearchWidth is the number of candidates that a search along the index keeps,
	// 0 before it is measured.
	SearchWidth int
}

// Maintenance is what a space that has grown may want.
type Maintenance string

const (
	MaintenanceMove  Maintenance = "move"  // to a table of its own
	MaintenanceIndex Maintenance = "index" // a vector index, or to have it measured
)

// Collection is a named set of documents that are searched together. Space is
// the one that answers searches. Unsettled says that it holds nothing and that
// no reindex has built it: it takes the configured model and chunking when the
// first passages are about to be written.
type Collection struct {
	ID               uuid.UUID
	Name             string
	ActiveSpace      Space
	SpaceReplaceable bool
	Summaries        document.SummaryMode // empty: as the programs are configured
}
