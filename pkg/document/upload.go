package document

import "encoding/json"

// UploadRequest describes an upload as the client names it; the body is sent separately. Its fields
// are not checked yet.
type UploadRequest struct {
	Collection string // empty for the collection default
	Key        string
	Title      string
	MediaType  string          // as declared by the client; may be empty
	Metadata   json.RawMessage // a JSON object; may be empty
	MaxSize    int64           // maximum size of the body in bytes; 0 if not known

	Condition Condition // on the document that is replaced

	// IdempotencyKey, if not empty, makes the server answer this upload as it answered the first
	// one with the same key.
	IdempotencyKey string
}

// Accepted is the answer to an upload.
type Accepted struct {
	Document Document `json:"document"`
	Job      Job      `json:"job"`

	// Unchanged says that the newest version already has this content and these settings. Nothing
	// was written, and Job is the job that made that version.
	Unchanged bool `json:"unchanged,omitempty"`

	// Restored says that the original of that version was lost or damaged. It was restored from
	// this upload, and the tasks that had failed because of it run again.
	Restored bool `json:"restored,omitempty"`

	// Replayed says that this repeats the answer to an earlier upload with the same idempotency
	// key.
	Replayed bool `json:"-"`
}
