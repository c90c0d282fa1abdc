package provider

import (
	"fmt"
	"maps"
	"slices"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// DimensionsError says that a model answers vectors of another length than it was
// asked for.
type DimensionsError struct {
	Model document.Model // as it was asked for
	Got   int
}

// Error implements error.
func (e *DimensionsError) Error() string {
	return fmt.Sprintf("model %s answers vectors of %d dimensions, not %d", e.Model.Name, e.Got, e.Model.Dimensions)
}

// InvalidVectorsError says that a model answered something else than a vector for some
// of several texts.
type InvalidVectorsError struct {
	Reasons map[int]string // what is wrong, by the index of the text
}

// Error implements error.
func (e *InvalidVectorsError) Error() string {
	return fmt.Sprintf("no vectors for %d texts: %s", len(e.Reasons), e.FirstReason())
}

// FirstReason returns what is wrong for the first of the texts.
func (e *InvalidVectorsError) FirstReason() string {
	return e.Reasons[slices.Min(slices.Collect(maps.Keys(e.Reasons)))]
}
