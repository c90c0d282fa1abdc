package task

import (
	"fmt"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// DecideSummaryRequest decides what a request for a summary does to the summary task. asked says
// that the summary was requested before, made that the version has one. The caller must queue the
// task again if again is true. refused is the reason why the request is refused, or "".
func DecideSummaryRequest(mode document.SummaryMode, state document.JobState, asked, made bool) (again bool, refused string) {
	switch {
	case mode == document.SummariesOff:
		return false, "summaries of this collection are off: set them to on_demand or model first"
	case made:
		return false, ""
	case state.Ended():
		return true, ""
	default: // the task runs without a request, or was requested already
		return mode == document.SummariesOnDemand && !asked, ""
	}
}

// NoSummaryDetail explains why a summary task succeeded without making a summary.
func NoSummaryDetail(id uuid.UUID) string {
	return fmt.Sprintf("document %s has no summary, since those of its collection are off or made on demand: POST /v1/documents/%[1]s/summary asks for it where they are on demand", id)
}
