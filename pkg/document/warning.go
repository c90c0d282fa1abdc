package document

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
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

// TruncationWarning returns the warning about a passage that is too long for the model:
// the vector is of the first embedded bytes of its text, which has all bytes.
func TruncationWarning(place ManifestEntry, embedded, all int) Warning {
	return Warning{
		Code:   "passage_truncated",
		Detail: fmt.Sprintf("passage %d is too long for the model: the first %d of %d bytes are embedded", place.Ordinal, embedded, all),
		Start:  place.Start, End: place.End,
	}
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

// MaxWarnings is how many warnings of one step are kept for a version.
const MaxWarnings = 100

// WarningCollector collects the warnings of one step, in the order of their bytes.
// It is safe for concurrent use, and its zero value is empty.
type WarningCollector struct {
	mu      sync.Mutex
	kept    []Warning
	dropped int // not kept
}

// Add adds a warning, unless it is in the list already. The MaxWarnings that come
// first in the document are kept; the others are counted.
func (l *WarningCollector) Add(w Warning) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, found := slices.BinarySearchFunc(l.kept, w, compareWarnings)
	if found {
		return
	}
	l.kept = slices.Insert(l.kept, at, w)
	if len(l.kept) > MaxWarnings {
		l.kept = l.kept[:MaxWarnings]
		l.dropped++
	}
}

// All returns at most MaxWarnings warnings. Where there are more, the last one
// says how many are left out.
func (l *WarningCollector) All() Warnings {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := slices.Clone(l.kept)
	if l.dropped > 0 {
		all[MaxWarnings-1] = Warning{Code: "more_warnings", Detail: fmt.Sprintf("%d more warnings are not listed", l.dropped+1)}
	}
	return all
}

func compareWarnings(a, b Warning) int {
	return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.End, b.End), cmp.Compare(a.Code, b.Code), cmp.Compare(a.Detail, b.Detail))
}
