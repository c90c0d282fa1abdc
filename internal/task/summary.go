package task

import (
	"fmt"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// DecideSummaryRequest decides what becomes of a summary task that somebody asks for: again
// says that it is to be queued anew. Made says that its version has a summary, and
// asked that it was asked for before. Refused says why it may not be asked for.
func DecideSummaryRequest(mode document.SummaryMode, state document.JobState, asked, made bool) (again bool, refused string) {
	switch {
	case mode == document.SummariesOff:
		return false, "summaries of this collection are off: set them to on_demand or model first"
	case made:
		return false, ""
	case state.Ended():
		return true, ""
	default: // it comes by itself, or was asked for already
		return mode == document.SummariesOnDemand && !asked, ""
	}
}

// NoSummaryDetail says why a summary was not made whose task has succeeded.
func NoSummaryDetail(id uuid.UUID) string {
	return fmt.Sprintf("document %s has no summary, since those of its collection are off or made on demand: POST /v1/documents/%[1]s/summary asks for it where they are on demand", id)
}
