package provider

import (
	"fmt"
	"maps"
	"slices"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// DimensionsError says that a model returned vectors of other dimensions than requested.
type DimensionsError struct {
	Model document.Model // as requested
	Got   int            // dimensions of the vectors that were returned
}

// Error implements error.
func (e *DimensionsError) Error() string {
	return fmt.Sprintf("model %s returns vectors of %d dimensions, not %d", e.Model.Name, e.Got, e.Model.Dimensions)
}

// InvalidVectorsError says that a model returned no valid vector for some of the texts of a
// request.
type InvalidVectorsError struct {
	Reasons map[int]string // what is wrong, by index of the text
}

// Error implements error.
func (e *InvalidVectorsError) Error() string {
	return fmt.Sprintf("no vectors for %d texts: %s", len(e.Reasons), e.FirstReason())
}

// FirstReason returns what is wrong with the vector of the first of these texts.
func (e *InvalidVectorsError) FirstReason() string {
	return e.Reasons[slices.Min(slices.Collect(maps.Keys(e.Reasons)))]
}
