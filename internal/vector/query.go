package vector

import (
	"encoding/json"
)

// Query is a search of one collection.
type Query struct {
	Collection string
	Vector     []float32
	Limit      int
	Threshold  float64 // hits scoring less are left out; cosine similarity, -1 to 1
	KeyPrefix  string
	Metadata   json.RawMessage // a JSON object that a document's metadata must contain; empty for any
}
