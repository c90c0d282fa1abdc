package task

import (
	"fmt"

	"github.com/google/uuid"
)

// NoSummaryDetail explains why a summary task succeeded without making a summary.
func NoSummaryDetail(id uuid.UUID) string {
	return fmt.Sprintf("document %s has no summary, since those of its collection are off or made on demand: POST /v1/documents/%[1]s/summary asks for it where they are on demand", id)
}
