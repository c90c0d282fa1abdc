package document

// CollectionSettings are the settings of a collection.
type CollectionSettings struct {
	Name       string      `json:"name"`
	Model      string      `json:"model" doc:"Embedding model."`
	Dimensions int         `json:"dimensions"`
	Tokens     int         `json:"chunk_tokens"`
	Overlap    int         `json:"chunk_overlap"`
	Summaries  SummaryMode `json:"summaries" enum:"model,on_demand,off" doc:"When documents are summarised: after each upload, on request, or never."`
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
