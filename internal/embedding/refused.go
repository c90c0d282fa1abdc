package embedding

import (
	"cmp"
	"fmt"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// maxRefusals is how many texts of a request a model may refuse, while it accepts none, before the
// other texts are not sent.
const maxRefusals = 8

// Refusal is a text that the model refused in a request of its own, with the provider's error.
type Refusal struct {
	Hash document.ContentHash
	Err  error
}

// RefusedError is the error of a request some of whose texts cannot be embedded. All other texts
// are embedded and written, unless the model accepted none: then Untried is the number of texts
// that were not sent. Its kind is that of the first refusal, fault.InputRejected or
// fault.InputTooLong.
type RefusedError struct {
	Refusals []Refusal
	Untried  int
}

// Error implements error.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("%d passages are refused, and %d were not tried: %v", len(e.Refusals), e.Untried, e.Refusals[0].Err)
}

// Unwrap returns the first refusal, which determines the kind.
func (e *RefusedError) Unwrap() error { return e.Refusals[0].Err }

// Reason returns the provider's reason for the refusal.
func (r Refusal) Reason() string {
	if f := fault.As(r.Err); f != nil {
		return cmp.Or(f.Detail, f.Error())
	}
	return r.Err.Error()
}

// IsRefused reports whether err says that the model does not accept the texts that were sent.
func IsRefused(err error) bool {
	return fault.Is(err, fault.InputRejected) || fault.Is(err, fault.InputTooLong)
}
