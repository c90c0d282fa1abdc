package document

import "fmt"

// MaxDimensions is the length of the longest vectors that can be stored.
const MaxDimensions = 16000

// Model names an embedding model and the length of its vectors. Dimensions is 0
// while the length is not known: it is then whatever the model answers.
type Model struct {
	Name       string
	Dimensions int
}

// LengthError says that a model answers vectors of another length than it was
// asked for.
type LengthError struct {
	Model Model // as it was asked for
	Got   int
}

// Error implements error.
func (e *LengthError) Error() string {
	return fmt.Sprintf("model %s answers vectors of %d dimensions, not %d", e.Model.Name, e.Got, e.Model.Dimensions)
}
