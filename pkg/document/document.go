// Package document holds the words that cross every border of Gristmill:
// documents, their versions, the passages cut from them, and the jobs that
// carry them from upload to search. JSON tags are those of the HTTP contract.
package document

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

// DocumentState is where a document stands for its readers.
type DocumentState string

const (
	DocumentPending  DocumentState = "pending"  // accepted; no version can be searched yet
	DocumentReady    DocumentState = "ready"    // its live version can be searched
	DocumentFailed   DocumentState = "failed"   // no version could be made searchable
	DocumentDeleting DocumentState = "deleting" // gone for readers; being removed
)

// DocumentStates lists every state of a document that readers see.
var DocumentStates = []DocumentState{DocumentPending, DocumentReady, DocumentFailed}

// Document is one uploaded text under a key of a collection. Version, size,
// hash and the like are those of the version that readers see, or of the
// newest one while none is live.
type Document struct {
	ID         uuid.UUID       `json:"id"`
	Collection string          `json:"collection"`
	Key        string          `json:"key"`
	Title      string          `json:"title"`
	State      DocumentState   `json:"state"`
	Version    int             `json:"version"`
	Size       int64           `json:"size"`   // bytes of the original
	SHA256     string          `json:"sha256"` // of the original, lower-case hex
	MediaType  string          `json:"media_type"`
	Metadata   json.RawMessage `json:"metadata"` // a JSON object
	Warnings   Warnings        `json:"warnings"`
	CreatedAt  time.Time       `json:"created_at"`
	UpdatedAt  time.Time       `json:"updated_at"`

	// Damage says what is wrong with the original or with what was made of it,
	// as the last comparison found it, and what to do; empty for nothing.
	Damage string `json:"damaged,omitempty"`

	Object     string `json:"-"` // name in object storage
	ObjectETag string `json:"-"` // see Original
}

// Original returns what the document's original must be.
func (d Document) Original() Original {
	return Original{Object: d.Object, Size: d.Size, SHA256: d.SHA256, ETag: d.ObjectETag}
}

// Chunking is how documents are cut into passages.
type Chunking struct {
	Tokens  int // maximum number of tokens of a passage
	Overlap int // tokens repeated from the passage before
}

// Space is one embedding model with one chunking, in one collection. Vectors
// of different spaces are never compared.
type Space struct {
	ID           int64
	CollectionID uuid.UUID
	Model        Model
	Chunking     Chunking
	Indexed      bool // for approximate search; while not, it is searched exactly
	OwnTable     bool // its passages stand in a table of its own; SQLite has one for all

	// SearchWidth is the number of candidates that a search along the index keeps,
	// 0 before it is measured.
	SearchWidth int
}

// SpaceMaintenance is what a space that has grown may want.
type SpaceMaintenance string

const (
	MaintenanceMove  SpaceMaintenance = "move"  // to a table of its own
	MaintenanceIndex SpaceMaintenance = "index" // a vector index, or to have it measured
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
	Summaries        SummaryMode // empty: as the programs are configured
}

// Upload is a document whose original is in object storage and is about to be
// accepted.
type Upload struct {
	Collection   Collection
	Key          string
	Title        string
	TitleFromKey bool // Title is the file's name; see OwnTitle
	Metadata     json.RawMessage
	MediaType    string
	Object       string
	Size         int64
	SHA256       string
	ObjectETag   string   // of the object, see Original
	Warnings     Warnings // of ingest; not part of what makes an upload unchanged
	Condition    Condition

	// IdempotencyKey, where there is one, has the answer to this upload be the
	// answer to all others under the same key. Their Fingerprint, of what the
	// client asked for and sent, must be the same.
	IdempotencyKey string
	Fingerprint    string
}

// Accepted is the store's answer to an upload. Unchanged says that the newest
// version already had this content and these settings: nothing was written,
// and Job is the one that made it. Replayed says that this is the answer to an
// earlier upload under the same idempotency key, as it was then. Restored says
// that the original of that version was gone or damaged and is restored from
// the upload, and that what had failed for it is put back on the path.
type Accepted struct {
	Document  Document `json:"document"`
	Job       Job      `json:"job"`
	Unchanged bool     `json:"unchanged,omitempty"`
	Restored  bool     `json:"restored,omitempty"`
	Replayed  bool     `json:"-"`
}

// Backlog is how much of a tenant's work has not ended.
type Backlog struct {
	Jobs  int64
	Bytes int64 // of the jobs' originals
}

// DocumentFilter narrows a list of documents; zero fields do not narrow.
type DocumentFilter struct {
	Collection string
	KeyPrefix  string
	State      DocumentState
}

// Page asks for a part of a list: at most Limit items after Cursor, which is
// opaque and empty for the first page.
type Page struct {
	Limit  int
	Cursor string
}

// List is one page of a list. NextCursor is empty on the last page.
type List[T any] struct {
	Items      []T    `json:"items"`
	NextCursor string `json:"next_cursor,omitempty"`
}
