package original

import (
	"encoding/json"

	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Upload is a document whose original is in object storage and which is not yet accepted.
type Upload struct {
	Collection   vector.Collection
	Key          string
	Title        string
	TitleFromKey bool // Title is the file's name; see document.OwnTitle
	Metadata     json.RawMessage
	MediaType    string
	Object       string
	Size         int64
	SHA256       string
	ObjectETag   string            // of the object; see Ref
	Warnings     document.Warnings // of ingest; ignored when uploads are compared
	Condition    document.Condition

	// IdempotencyKey is optional. All uploads under one key get the answer of the first. They must
	// have the same Fingerprint, a hash of what the client asked for and sent.
	IdempotencyKey string
	Fingerprint    string
}
