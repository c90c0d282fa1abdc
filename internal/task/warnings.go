package task

import (
	"cmp"
	"fmt"
	"slices"
	"sync"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// MaxWarnings is the maximum number of warnings that one step keeps for a version.
const MaxWarnings = 100

// WarningCollector collects the warnings of one step, in the order of their byte positions. It
// is safe for concurrent use. Its zero value is an empty collector.
type WarningCollector struct {
	mu      sync.Mutex
	kept    []document.Warning
	dropped int // number of warnings that were not kept
}

// Add adds a warning, unless the collector has it already. The first MaxWarnings warnings of the
// document are kept; the collector only counts the others.
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

// All returns the kept warnings, at most MaxWarnings. If warnings were dropped, the last one
// returned says how many are not listed.
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
