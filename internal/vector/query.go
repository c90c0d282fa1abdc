package vector

import (
	"encoding/json"
)

// Query is a search of one collection.
type Query struct {
	Collection string
	Vector     []float32
	Limit      int
	Threshold  float64 // minimum score of a hit; cosine similarity, -1 to 1
	KeyPrefix  string
	Metadata   json.RawMessage // JSON object that the metadata of a document must contain; empty for any
}
