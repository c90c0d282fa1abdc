package document

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

// SummaryMode says when documents of a collection are summarised.
type SummaryMode string

const (
	SummariesByModel  SummaryMode = "model"     // after each upload
	SummariesOnDemand SummaryMode = "on_demand" // when somebody asks for one
	SummariesOff      SummaryMode = "off"       // never
)

// SummaryModes lists every mode.
var SummaryModes = []SummaryMode{SummariesByModel, SummariesOnDemand, SummariesOff}

// CollectionSettings are what a collection does with its documents.
type CollectionSettings struct {
	Name       string      `json:"name"`
	Model      string      `json:"model" doc:"Embedding model."`
	Dimensions int         `json:"dimensions"`
	Tokens     int         `json:"chunk_tokens"`
	Overlap    int         `json:"chunk_overlap"`
	Summaries  SummaryMode `json:"summaries" enum:"model,on_demand,off" doc:"When documents are summarised: after each upload, once somebody asks for it, or never."`
}
