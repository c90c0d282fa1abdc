package document

import (
	"encoding/json"

	"github.com/google/uuid"
)

// Limits of the number of hits of a search.
const (
	DefaultHits = 10 // if the request names no limit
	MaxHits     = 100
)

// SearchRequest is a search as the client sends it. Its fields are not checked yet.
type SearchRequest struct {
	Collection string // empty for the collection default
	Query      string
	Mode       string          // vector, or empty for it; the server refuses other modes
	Limit      int             // maximum number of hits; 0 for DefaultHits; at most MaxHits
	Threshold  *float64        // minimum score of a hit, -1 to 1; nil for none
	KeyPrefix  string          // only documents whose key begins with it; empty for all
	Metadata   json.RawMessage // a JSON object that a document's metadata must contain; empty for any
}

// SearchResult is the answer to a search.
type SearchResult struct {
	Hits     []Hit `json:"hits"`     // the best first
	Degraded bool  `json:"degraded"` // a dependency was down and a simpler search took its place; always false so far
	Cached   bool  `json:"cached"`   // the answer was computed for an earlier request; always false so far
}

// Hit is a passage that answers a search, with its document.
type Hit struct {
	Passage
	DocumentID uuid.UUID  `json:"document_id"`
	Key        string     `json:"key"`
	Title      string     `json:"title"`
	Score      float64    `json:"score"`
	Scores     Scores     `json:"scores"`
	AlsoIn     []Citation `json:"also_in"` // where else the same passage occurs
}

// Scores are the parts of a hit's score.
type Scores struct {
	Vector *float64 `json:"vector,omitempty"` // cosine similarity of query and passage, -1 to 1
}

// Citation is another occurrence of a passage: Start and End are its byte range in the original.
type Citation struct {
	DocumentID uuid.UUID `json:"document_id"`
	Key        string    `json:"key"`
	Start      int64     `json:"start"`
	End        int64     `json:"end"`
}
