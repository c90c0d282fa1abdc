package document_test

import (
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

func TestRate(t *testing.T) {
	t.Parallel()
	spell := func(begin, end int, embedded int64) document.Interval {
		return document.Interval{Begin: time.Unix(int64(begin), 0), End: time.Unix(int64(end), 0), Embedded: embedded}
	}
	for name, test := range map[string]struct {
		spells []document.Interval
		want   float64
	}{
		"none":                   {nil, 0},
		"one":                    {[]document.Interval{spell(100, 104, 8)}, 2},
		"of no length":           {[]document.Interval{spell(100, 100, 8)}, 0},
		"one after another":      {[]document.Interval{spell(100, 102, 8), spell(102, 104, 4)}, 3},
		"with a pause":           {[]document.Interval{spell(100, 102, 8), spell(900, 902, 4)}, 3},
		"at once":                {[]document.Interval{spell(100, 104, 8), spell(100, 104, 4)}, 3},
		"overlapping, unordered": {[]document.Interval{spell(102, 106, 4), spell(100, 104, 8)}, 2},
		"one within another":     {[]document.Interval{spell(100, 106, 8), spell(101, 103, 4), spell(105, 106, 6)}, 3},
	} {
		if got := document.EmbeddingRate(test.spells); got != test.want {
			t.Errorf("%s: got %v a second, want %v", name, got, test.want)
		}
	}
}
