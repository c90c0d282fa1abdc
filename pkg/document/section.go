package document

import (
	"fmt"

	"github.com/google/uuid"
)

// Section is a part of a document that is to be summarised, together with
// others of the same document.
type Section struct {
	Heading string // titles that it stands under, outermost first
	Parts   []SectionPart
}

// SectionPart is a part of a section: a text or, where that is empty, the whole
// of an earlier section of the same list, named by its index.
type SectionPart struct {
	Text         string
	SectionIndex int
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

// TooManyCollectionsDetail is the detail of a store's refusal to make a collection. It
// takes the collection's name and the limit.
const TooManyCollectionsDetail = "collection %q was not made: there are as many collections as GRISTMILL_MAX_COLLECTIONS allows, %d; " +
	"upload into one that is there, under a key or with metadata that a search can filter by, or have the limit raised"

// DecideSummaryRequest decides what becomes of a summary task that somebody asks for: again
// says that it is to be queued anew. Made says that its version has a summary, and
// asked that it was asked for before. Refused says why it may not be asked for.
func DecideSummaryRequest(mode SummaryMode, state JobState, asked, made bool) (again bool, refused string) {
	switch {
	case mode == SummariesOff:
		return false, "summaries of this collection are off: set them to on_demand or model first"
	case made:
		return false, ""
	case state.Ended():
		return true, ""
	default: // it comes by itself, or was asked for already
		return mode == SummariesOnDemand && !asked, ""
	}
}

// NoSummaryDetail says why a summary was not made whose task has succeeded.
func NoSummaryDetail(id uuid.UUID) string {
	return fmt.Sprintf("document %s has no summary, since those of its collection are off or made on demand: POST /v1/documents/%[1]s/summary asks for it where they are on demand", id)
}
