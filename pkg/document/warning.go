package document

import (
	"encoding/json"
	"slices"
)

// Warning reports a part of a document that was skipped, omitted or changed during the upload or
// the processing. The document is searchable nevertheless. Start and End are the byte range in the
// original; both are 0 if the warning is about the document as a whole.
type Warning struct {
	Code   string `json:"code"`   // stable, for programs: front_matter_unreadable, passage_truncated, summary_extractive, …
	Detail string `json:"detail"` // for people
	Start  int64  `json:"start"`
	End    int64  `json:"end"`
}

// Warnings are the warnings of one version. An empty list is nil in Go and an empty array in JSON.
type Warnings []Warning

// MarshalJSON implements json.Marshaler.
func (w Warnings) MarshalJSON() ([]byte, error) {
	return json.Marshal(append([]Warning{}, w...))
}

// UnmarshalJSON implements json.Unmarshaler.
func (w *Warnings) UnmarshalJSON(text []byte) error {
	var list []Warning
	if err := json.Unmarshal(text, &list); err != nil {
		return err
	}
	*w = append(Warnings(nil), list...)
	return nil
}

// Join returns w and the warnings of a later step that w does not contain.
func (w Warnings) Join(later Warnings) Warnings {
	for _, warning := range later {
		if !slices.Contains(w, warning) {
			w = append(w, warning)
		}
	}
	return w
}
