package rebuild_test

import (
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/rebuild"
)

func TestRate(t *testing.T) {
	t.Parallel()
	spell := func(begin, end int, embedded int64) rebuild.Interval {
		return rebuild.Interval{Begin: time.Unix(int64(begin), 0), End: time.Unix(int64(end), 0), Embedded: embedded}
	}
	for name, test := range map[string]struct {
		spells []rebuild.Interval
		want   float64
	}{
		"none":                   {nil, 0},
		"one":                    {[]rebuild.Interval{spell(100, 104, 8)}, 2},
		"of no length":           {[]rebuild.Interval{spell(100, 100, 8)}, 0},
		"one after another":      {[]rebuild.Interval{spell(100, 102, 8), spell(102, 104, 4)}, 3},
		"with a pause":           {[]rebuild.Interval{spell(100, 102, 8), spell(900, 902, 4)}, 3},
		"at once":                {[]rebuild.Interval{spell(100, 104, 8), spell(100, 104, 4)}, 3},
		"overlapping, unordered": {[]rebuild.Interval{spell(102, 106, 4), spell(100, 104, 8)}, 2},
		"one within another":     {[]rebuild.Interval{spell(100, 106, 8), spell(101, 103, 4), spell(105, 106, 6)}, 3},
	} {
		if got := rebuild.EmbeddingRate(test.spells); got != test.want {
			t.Errorf("%s: got %v a second, want %v", name, got, test.want)
		}
	}
}
