package document

// FlattenRanges returns the ranges as stores hold them: start, end, start, end. It
// returns nil for none.
func FlattenRanges(ranges []Range) (flat []int) {
	for _, r := range ranges {
		flat = append(flat, r.Start, r.End)
	}
	return flat
}

// UnflattenRanges returns the ranges that FlatRanges made flat.
func UnflattenRanges(flat []int) (ranges []Range) {
	for i := 0; i+1 < len(flat); i += 2 {
		ranges = append(ranges, Range{flat[i], flat[i+1]})
	}
	return ranges
}
