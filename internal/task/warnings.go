package task

import (
	"cmp"
	"fmt"
	"slices"
	"sync"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// MaxWarnings is how many warnings of one step are kept for a version.
const MaxWarnings = 100

// WarningCollector collects the warnings of one step, in the order of their bytes.
// It is safe for concurrent use, and its zero value is empty.
type WarningCollector struct {
	mu      sync.Mutex
	kept    []document.Warning
	dropped int // not kept
}

// Add adds a warning, unless it is in the list already. The MaxWarnings that come
// first in the document are kept; the others are counted.
func (l *WarningCollector) Add(w document.Warning) {
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
func (l *WarningCollector) All() document.Warnings {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := slices.Clone(l.kept)
	if l.dropped > 0 {
		all[MaxWarnings-1] = document.Warning{Code: "more_warnings", Detail: fmt.Sprintf("%d more warnings are not listed", l.dropped+1)}
	}
	return all
}

func compareWarnings(a, b document.Warning) int {
	return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.End, b.End), cmp.Compare(a.Code, b.Code), cmp.Compare(a.Detail, b.Detail))
}
