package document

import "encoding/json"

// UploadRequest says what an upload is, as the client named it; the body
// comes beside it. Nothing in it has been checked yet.
type UploadRequest struct {
	Collection string
	Key        string
	Title      string
	MediaType  string          // as declared by the client; may be empty
	Metadata   json.RawMessage // may be empty
	MaxSize    int64           // most bytes that the body can have; 0 when that is not known

	Condition Condition // of the document that is replaced

	// IdempotencyKey has the upload be answered as the first one under the same
	// key was; empty for none.
	IdempotencyKey string
}

// SearchRequest is a search as the client asked for it. Nothing in it has
// been checked yet.
type SearchRequest struct {
	Collection string
	Query      string
	Mode       string
	Limit      int
	Threshold  *float64 // nil for none
	KeyPrefix  string
	Metadata   json.RawMessage // a JSON object that a document's metadata must contain; empty for any
}

// SearchResult is the answer to a search, best hit first. Degraded says that
// a dependency was down and a lesser way of searching took its place; Cached,
// that the answer was computed for an earlier request.
type SearchResult struct {
	Hits     []Hit `json:"hits"`
	Degraded bool  `json:"degraded"`
	Cached   bool  `json:"cached"`
}
