package document

import "github.com/google/uuid"

// Summary is the summary of one version of a document.
type Summary struct {
	DocumentID uuid.UUID `json:"document_id"`
	Version    int       `json:"version"`
	Model      string    `json:"model"`
	Summary    string    `json:"summary"`
}

// SummaryMode says when documents of a collection are summarised.
type SummaryMode string

const (
	SummariesByModel  SummaryMode = "model"     // after each upload
	SummariesOnDemand SummaryMode = "on_demand" // on request, one document at a time
	SummariesOff      SummaryMode = "off"       // never
)

// SummaryModes lists all modes.
var SummaryModes = []SummaryMode{SummariesByModel, SummariesOnDemand, SummariesOff}

// SummaryEstimate estimates the requests to a chat model that summarising documents takes.
type SummaryEstimate struct {
	Sections int64 `json:"sections"`
	Reusable int64 `json:"reusable" doc:"Sections that need no request: their summary is stored, or they are short enough to be their own."`
	Calls    int64 `json:"calls" doc:"Requests to the chat model."`
	Input    int64 `json:"input_tokens" doc:"Approximate number of tokens of the requests."`
	Output   int64 `json:"output_tokens" doc:"Approximate number of tokens of the answers."`
}

// Add adds the estimate of another document.
func (e *SummaryEstimate) Add(other SummaryEstimate) {
	e.Sections += other.Sections
	e.Reusable += other.Reusable
	e.Calls += other.Calls
	e.Input += other.Input
	e.Output += other.Output
}

// Scale extrapolates the estimate of part documents to whole documents.
func (e *SummaryEstimate) Scale(whole, part int64) {
	for _, n := range []*int64{&e.Sections, &e.Reusable, &e.Calls, &e.Input, &e.Output} {
		*n = *n * whole / max(part, 1)
	}
}
