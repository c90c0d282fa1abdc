package document

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

// DocumentState is the state of a document as readers see it.
type DocumentState string

const (
	DocumentPending  DocumentState = "pending"  // accepted; no version can be searched yet
	DocumentReady    DocumentState = "ready"    // its published version can be searched
	DocumentFailed   DocumentState = "failed"   // no version could be made searchable
	DocumentDeleting DocumentState = "deleting" // deleted for readers; its data is being removed
)

// DocumentStates lists all states of a document that readers see.
var DocumentStates = []DocumentState{DocumentPending, DocumentReady, DocumentFailed}

// Document is an uploaded text, stored under a key of a collection. Version and the fields that
// depend on it (size, hash, title, metadata and so on) describe the published version, or the
// newest version while none is published.
type Document struct {
	ID         uuid.UUID       `json:"id"`
	Collection string          `json:"collection"`
	Key        string          `json:"key"`
	Title      string          `json:"title"`
	State      DocumentState   `json:"state"`
	Version    int             `json:"version"`
	Size       int64           `json:"size"`   // of the original, in bytes
	SHA256     string          `json:"sha256"` // of the original, lower-case hex
	MediaType  string          `json:"media_type"`
	Metadata   json.RawMessage `json:"metadata"` // a JSON object
	Warnings   Warnings        `json:"warnings"`
	CreatedAt  time.Time       `json:"created_at"`
	UpdatedAt  time.Time       `json:"updated_at"`

	// Damage says what the last verification found wrong with the original or with the data derived
	// from it, and what to do. It is empty if nothing is wrong.
	Damage string `json:"damaged,omitempty"`

	Object     string `json:"-"` // name in object storage; only the server sets it
	ObjectETag string `json:"-"` // ETag in object storage; only the server sets it
}

// DocumentFilter narrows a list of documents. Zero fields do not narrow it.
type DocumentFilter struct {
	Collection string
	KeyPrefix  string
	State      DocumentState
}
