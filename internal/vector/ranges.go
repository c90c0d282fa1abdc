package vector

import "github.com/seed-7a112592/gristmill/pkg/document"

// FlattenRanges returns the ranges in the form that stores hold: start, end, start, end. It
// returns nil if there are no ranges.
func FlattenRanges(ranges []document.Range) (flat []int) {
	for _, r := range ranges {
		flat = append(flat, r.Start, r.End)
	}
	return flat
}

// UnflattenRanges is the inverse of FlattenRanges.
func UnflattenRanges(flat []int) (ranges []document.Range) {
	for i := 0; i+1 < len(flat); i += 2 {
		ranges = append(ranges, document.Range{Start: flat[i], End: flat[i+1]})
	}
	return ranges
}
