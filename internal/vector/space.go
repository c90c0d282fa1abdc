// Package vector holds the vector spaces of collections, the passages and manifest entries that
// are stored in them, and search queries.
package vector

import (
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// MaxDimensions is the maximum number of dimensions of a vector that can be stored.
const MaxDimensions = 16000

// SpaceVersion says that a version is complete in a space, and with how many passages.
type SpaceVersion struct {
	SpaceID  int64
	Passages int64
	Warnings document.Warnings // of these passages
}

// TooManyCollectionsDetail is the detail of the error with which a store refuses to create a
// collection. Its arguments are the name of the collection and the limit.
const TooManyCollectionsDetail = "collection %q was not created: the limit of %d collections (GRISTMILL_MAX_COLLECTIONS) is reached; " +
	"upload into an existing collection, under a key or with metadata that a search can filter by, or have the limit raised"

// Space is one embedding model with one chunking, in one collection. Vectors of different spaces
// are never compared.
type Space struct {
	ID           int64
	CollectionID uuid.UUID
	Model        document.Model
	Chunking     document.Chunking
	Indexed      bool // it has an index for approximate search; without one, searches are exact
	OwnTable     bool // its passages are in a table of their own; SQLite has one table for all

	// SearchWidth is the number of candidates that an index search keeps; 0 before it is
	// measured.
	SearchWidth int
}

// Maintenance is a kind of maintenance that a space may need when it has grown.
type Maintenance string

const (
	MaintenanceMove  Maintenance = "move"  // move it to a table of its own
	MaintenanceIndex Maintenance = "index" // build its vector index, or measure it
)

// Collection is a named set of documents that are searched together. ActiveSpace answers
// searches. SpaceReplaceable says that the active space is empty and that no reindex has built
// it: the collection then takes the configured model and chunking when its first passages are
// about to be written.
type Collection struct {
	ID               uuid.UUID
	Name             string
	ActiveSpace      Space
	SpaceReplaceable bool
	Summaries        document.SummaryMode // empty for the mode that is configured
}
