package original

import (
	"encoding/json"

	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Upload is a document whose original is in object storage and is about to be
// accepted.
type Upload struct {
	Collection   vector.Collection
	Key          string
	Title        string
	TitleFromKey bool // Title is the file's name; see OwnTitle
	Metadata     json.RawMessage
	MediaType    string
	Object       string
	Size         int64
	SHA256       string
	ObjectETag   string            // of the object, see Original
	Warnings     document.Warnings // of ingest; not part of what makes an upload unchanged
	Condition    document.Condition

	// IdempotencyKey, where there is one, has the answer to this upload be the
	// answer to all others under the same key. Their Fingerprint, of what the
	// client asked for and sent, must be the same.
	IdempotencyKey string
	Fingerprint    string
}
