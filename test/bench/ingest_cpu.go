package main

import (
	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/internal/test/program"
)

// baselineCommit is the commit before ingestion was made cheaper.
const baselineCommit = "69ab83c"

// measureIngestCPU measures the CPU time of the worker and PostgreSQL for the work of throughput,
// and compares it with the programs of another commit. It measures the two alternately, so that
// other load on the machine affects both.
func measureIngestCPU(b *bench) {
	bin := program.BuildCommit(b, b.base)
	var before, after, ratios []float64
	for range b.runs {
		for _, side := range []struct {
			name, bin string
			costs     *[]float64
		}{{b.base, bin, &before}, {"now", "", &after}} {
			b.mustRun(func(b *bench) {
				did := ingestCorpus(b, side.bin, fakeprovider.Options{})
				*side.costs = append(*side.costs, did.cpuSecondsPer1000("worker", "postgres"))
				b.note("%s: worker %.3f and PostgreSQL %.3f CPU seconds for 1,000 passages; %s", side.name, did.cpuSecondsPer1000("worker"), did.cpuSecondsPer1000("postgres"), did)
			})
		}
		ratios = append(ratios, after[len(after)-1]/before[len(before)-1])
	}
	b.report(result{name: "CPU of worker and PostgreSQL, " + b.base + " (median)", value: median(before), unit: "s/1,000 passages"})
	b.report(result{name: "CPU of worker and PostgreSQL, now (median)", value: median(after), unit: "s/1,000 passages"})
	b.report(result{"now over " + b.base + " (median of pairs)", median(ratios), "", boundMax, 0.6})
}
