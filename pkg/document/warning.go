package document

import (
	"encoding/json"
	"slices"
)

// Warning is something about a document that was skipped, left out or changed
// while it was taken in or processed. The document is searchable all the same.
// Start and End are the byte range in the original that it is about; both are 0
// when it is about the whole document.
type Warning struct {
	Code   string `json:"code"`   // stable, for programs: front_matter_unreadable, passage_truncated, summary_extractive, …
	Detail string `json:"detail"` // for people
	Start  int64  `json:"start"`
	End    int64  `json:"end"`
}

// Warnings are those of one version. None are nil in Go and an empty array in
// JSON.
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

// Join returns these warnings and those of a later step that are not among them.
func (w Warnings) Join(later Warnings) Warnings {
	for _, warning := range later {
		if !slices.Contains(w, warning) {
			w = append(w, warning)
		}
	}
	return w
}
