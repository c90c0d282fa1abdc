package main

import (
	"time"
)

// warmUpRounds is the number of calls at each size before the measurement.
const warmUpRounds = 5

// call is something to do repeatedly on each database. prepare does the part that is not measured,
// and returns the part that is.
type call struct {
	name    string
	bound   float64 // maximum ratio of the times
	prepare func(d *database, i int) func() error
}

// run runs the call once and returns its duration.
func (c call) run(d *database, i int) time.Duration {
	do := c.prepare(d, i)
	begin := time.Now()
	err := do()
	took := time.Since(begin)
	if err != nil {
		d.Fatalf("%s: %s: %w", formatCount(d.size), c.name, err)
	}
	return took
}

// time measures calls on all databases alternately, so that other load on the machine affects all
// of them.
func (r *report) time(of []*database, calls ...call) {
	took := make([][][]float64, len(calls))
	for i := range took {
		took[i] = make([][]float64, len(of))
	}
	for i := range warmUpRounds + r.rounds {
		for c, call := range calls {
			for n, d := range of {
				if t := call.run(d, i); i >= warmUpRounds {
					took[c][n] = append(took[c][n], t.Seconds()*1000)
				}
			}
		}
	}
	for c, call := range calls {
		r.printRatio(call.name, "ms", medians(took[c]), call.bound)
		r.printRatio("", "pages", measureEach(of, func(d *database) float64 {
			i := warmUpRounds + r.rounds
			return d.pagesPerRun(func() { call.run(d, i); i++ })
		}), 0)
	}
}

func medians(values [][]float64) []float64 {
	middle := make([]float64, len(values))
	for i, v := range values {
		middle[i] = quantile(v, 0.5)
	}
	return middle
}

func measureEach(of []*database, value func(d *database) float64) []float64 {
	values := make([]float64, len(of))
	for i, d := range of {
		values[i] = value(d)
	}
	return values
}
