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

// Chunking is how documents are cut into passages.
type Chunking struct {
	Tokens  int // maximum number of tokens of a passage
	Overlap int // tokens repeated from the passage before
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
