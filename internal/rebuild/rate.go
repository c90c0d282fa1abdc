package rebuild

import (
	"slices"
	"time"
)

// Interval is a span of time, and the number of passages that were embedded in it.
type Interval struct {
	Begin, End time.Time
	Embedded   int64
}

// EmbeddingRate returns the number of passages that were embedded per second of the intervals.
// Time that several intervals cover counts once. It returns 0 if they cover no time.
func EmbeddingRate(intervals []Interval) float64 {
	slices.SortFunc(intervals, func(a, b Interval) int { return a.Begin.Compare(b.Begin) })
	var embedded int64
	var covered time.Duration
	var until time.Time // the latest end so far
	for _, s := range intervals {
		embedded += s.Embedded
		begin := s.Begin
		if begin.Before(until) {
			begin = until
		}
		if s.End.After(begin) {
			covered += s.End.Sub(begin)
			until = s.End
		}
	}
	if covered <= 0 {
		return 0
	}
	return float64(embedded) / covered.Seconds()
}
