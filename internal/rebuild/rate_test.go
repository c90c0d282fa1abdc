package rebuild_test

import (
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/rebuild"
)

func TestEmbeddingRate(t *testing.T) {
	t.Parallel()
	interval := func(begin, end int, embedded int64) rebuild.Interval {
		return rebuild.Interval{Begin: time.Unix(int64(begin), 0), End: time.Unix(int64(end), 0), Embedded: embedded}
	}
	for name, test := range map[string]struct {
		intervals []rebuild.Interval
		want      float64
	}{
		"none":                   {nil, 0},
		"one":                    {[]rebuild.Interval{interval(100, 104, 8)}, 2},
		"empty":                  {[]rebuild.Interval{interval(100, 100, 8)}, 0},
		"one after another":      {[]rebuild.Interval{interval(100, 102, 8), interval(102, 104, 4)}, 3},
		"with a pause":           {[]rebuild.Interval{interval(100, 102, 8), interval(900, 902, 4)}, 3},
		"equal":                  {[]rebuild.Interval{interval(100, 104, 8), interval(100, 104, 4)}, 3},
		"overlapping, unordered": {[]rebuild.Interval{interval(102, 106, 4), interval(100, 104, 8)}, 2},
		"one within another":     {[]rebuild.Interval{interval(100, 106, 8), interval(101, 103, 4), interval(105, 106, 6)}, 3},
	} {
		if got := rebuild.EmbeddingRate(test.intervals); got != test.want {
			t.Errorf("%s: got %v passages per second, want %v", name, got, test.want)
		}
	}
}
