package main

import (
	"context"

	"github.com/seed-7a112592/gristmill/test/part"
	"github.com/seed-7a112592/gristmill/test/program"
)

// bench is what a figure is measured with.
type bench struct {
	*part.Part

	ctx    context.Context
	runs   int
	base   string // commit to compare with
	missed *bool  // a bound was
}

func newBench(ctx context.Context, runs int, base string) *bench {
	b := &bench{Part: part.New(ctx, "bench"), ctx: ctx, runs: runs, base: base, missed: new(bool)}
	b.Cleanup(program.Remove)
	return b
}

// part measures a part of b with a bench of its own: what was made for it is
// removed when it ends.
func (b *bench) part(measure func(b *bench)) error {
	return part.Run(b.ctx, "bench", func(p *part.Part) {
		measure(&bench{Part: p, ctx: b.ctx, runs: b.runs, base: b.base, missed: b.missed})
	})
}

// must is part for one whose failure is b's.
func (b *bench) must(measure func(b *bench)) {
	if err := b.part(measure); err != nil {
		b.Fatal(err)
	}
}
