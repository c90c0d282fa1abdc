package rebuild

import (
	"slices"
	"time"
)

// Interval is a time, and how many passages were embedded in it.
type Interval struct {
	Begin, End time.Time
	Embedded   int64
}

// EmbeddingRate returns how many passages a second were embedded while any of the spells
// lasted, which may overlap; 0 when none did.
func EmbeddingRate(spells []Interval) float64 {
	slices.SortFunc(spells, func(a, b Interval) int { return a.Begin.Compare(b.Begin) })
	var embedded int64
	var lasted time.Duration
	var until time.Time // the latest end so far
	for _, s := range spells {
		embedded += s.Embedded
		begin := s.Begin
		if begin.Before(until) {
			begin = until
		}
		if s.End.After(begin) {
			lasted += s.End.Sub(begin)
			until = s.End
		}
	}
	if lasted <= 0 {
		return 0
	}
	return float64(embedded) / lasted.Seconds()
}
