package document

import (
	"fmt"
	"regexp"
)

const (
	// DefaultCollection is the collection of uploads and searches that name none.
	DefaultCollection = "default"

	// CollectionPattern is the regular expression of a collection's name.
	CollectionPattern = `^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`

	collectionRule = "1 to 128 letters, digits, '.', '_' and '-', beginning with a letter or digit"
)

// Limits of the size of a passage, in tokens.
const (
	MinChunkTokens = 16
	MaxChunkTokens = 8192
)

var collectionName = regexp.MustCompile(CollectionPattern)

// CheckCollectionName returns an error if no collection can have the name.
func CheckCollectionName(name string) error {
	if !collectionName.MatchString(name) {
		return fmt.Errorf("collection %q: want %s", name, collectionRule)
	}
	return nil
}

// CollectionSettings are the settings of a collection.
type CollectionSettings struct {
	Name       string      `json:"name"`
	Model      string      `json:"model" doc:"Embedding model."`
	Dimensions int         `json:"dimensions"`
	Tokens     int         `json:"chunk_tokens"`
	Overlap    int         `json:"chunk_overlap"`
	Summaries  SummaryMode `json:"summaries" enum:"model,on_demand,off" doc:"When documents are summarised: model after each upload, on_demand on request, off never."`
}

// Chunking says how documents are split into passages.
type Chunking struct {
	Tokens  int // maximum number of tokens of a passage, cl100k_base
	Overlap int // maximum number of tokens that a passage repeats from the one before it
}

// Model names an embedding model and the dimensions of its vectors. Dimensions is 0 while they are
// not known; the model then decides them.
type Model struct {
	Name       string
	Dimensions int
}
