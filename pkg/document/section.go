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

// Add adds what another document would ask.
func (e *SummaryEstimate) Add(other SummaryEstimate) {
	e.Sections += other.Sections
	e.Reusable += other.Reusable
	e.Calls += other.Calls
	e.Input += other.Input
	e.Output += other.Output
}

// Scale reckons from a part what the whole would ask.
func (e *SummaryEstimate) Scale(whole, part int64) {
	for _, n := range []*int64{&e.Sections, &e.Reusable, &e.Calls, &e.Input, &e.Output} {
		*n = *n * whole / max(part, 1)
	}
}
