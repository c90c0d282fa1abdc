package main

import (
	"context"

	"github.com/seed-7a112592/gristmill/internal/test/program"
	"github.com/seed-7a112592/gristmill/internal/test/standalone"
)

// bench is what a figure is measured with.
type bench struct {
	*standalone.TB

	ctx         context.Context
	runs        int
	base        string // commit to compare with
	boundMissed *bool  // a bound was
}

func newBench(ctx context.Context, runs int, base string) *bench {
	b := &bench{TB: standalone.New(ctx, "bench"), ctx: ctx, runs: runs, base: base, boundMissed: new(bool)}
	b.Cleanup(program.RemoveBinaries)
	return b
}

// run measures a part of b with a bench of its own: what was made for it is
// removed when it ends.
func (b *bench) run(measure func(b *bench)) error {
	return standalone.Run(b.ctx, "bench", func(p *standalone.TB) {
		measure(&bench{TB: p, ctx: b.ctx, runs: b.runs, base: b.base, boundMissed: b.boundMissed})
	})
}

// mustRun is part for one whose failure is b's.
func (b *bench) mustRun(measure func(b *bench)) {
	if err := b.run(measure); err != nil {
		b.Fatal(err)
	}
}
