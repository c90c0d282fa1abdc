package document

// Section is a part of a document that is to be summarised, together with
// others of the same document.
type Section struct {
	Heading string // titles that it stands under, outermost first
	Parts   []SectionPart
}

// SectionPart is a part of a section: a text or, where that is empty, the whole
// of an earlier section of the same list, named by its index.
type SectionPart struct {
	Text  string
	Whole int
}

// SummaryEstimate is what summarising would ask of a chat model.
type SummaryEstimate struct {
	Sections int64 `json:"sections"`
	Reusable int64 `json:"reusable" doc:"Those of them whose summary is kept, or that are so short that they are their own."`
	Calls    int64 `json:"calls" doc:"Requests to the chat model."`
	Input    int64 `json:"input_tokens" doc:"About how many tokens they would have."`
	Output   int64 `json:"output_tokens" doc:"About how many the answers would have."`
}
