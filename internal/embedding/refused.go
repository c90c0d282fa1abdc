package embedding

import (
	"cmp"
	"fmt"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// maxRefusals is how many texts of an order a model may refuse while it takes
// none before the rest is not tried any more.
const maxRefusals = 8

// Refusal is a text that the model does not take, by itself, with its words.
type Refusal struct {
	Hash document.ContentHash
	Err  error
}

// RefusedError is the error of an order of which some texts cannot be embedded.
// All others are, and are written, unless Untried says that the model took none
// at all. It is fault.Refused.
type RefusedError struct {
	Refusals []Refusal
	Untried  int
}

// Error implements error.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("%d passages are refused, and %d were not tried: %v", len(e.Refusals), e.Untried, e.Refusals[0].Err)
}

// Unwrap returns the first refusal, so that the kind is that of a refusal.
func (e *RefusedError) Unwrap() error { return e.Refusals[0].Err }

// Reason returns what the model said of the refused text.
func (r Refusal) Reason() string {
	if f := fault.As(r.Err); f != nil {
		return cmp.Or(f.Detail, f.Error())
	}
	return r.Err.Error()
}

// IsRefused reports whether err says that the model does not take what it was
// sent.
func IsRefused(err error) bool {
	return fault.Is(err, fault.InputRejected) || fault.Is(err, fault.InputTooLong)
}
