package main

import (
	"context"

	"github.com/seed-7a112592/gristmill/internal/test/program"
	"github.com/seed-7a112592/gristmill/internal/test/standalone"
)

// bench provides what is needed to measure a figure.
type bench struct {
	*standalone.TB

	ctx         context.Context
	runs        int
	base        string // commit to compare with
	boundMissed *bool  // set when a bound is missed
}

func newBench(ctx context.Context, runs int, base string) *bench {
	b := &bench{TB: standalone.New(ctx, "bench"), ctx: ctx, runs: runs, base: base, boundMissed: new(bool)}
	b.Cleanup(program.RemoveBinaries)
	return b
}

// run runs measure with its own bench. What measure creates is removed when it ends.
func (b *bench) run(measure func(b *bench)) error {
	return standalone.Run(b.ctx, "bench", func(p *standalone.TB) {
		measure(&bench{TB: p, ctx: b.ctx, runs: b.runs, base: b.base, boundMissed: b.boundMissed})
	})
}

// mustRun is run, but an error of measure fails b.
func (b *bench) mustRun(measure func(b *bench)) {
	if err := b.run(measure); err != nil {
		b.Fatal(err)
	}
}
