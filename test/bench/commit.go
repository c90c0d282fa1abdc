package main

import (
	"github.com/seed-7a112592/gristmill/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/test/program"
)

// beforeScale is the commit that ingestion was made cheaper after.
const beforeScale = "69ab83c"

// cpuOfIngestion is how much CPU time the worker and PostgreSQL take together
// for what throughput measures, as a part of what they take with the programs
// of another commit. The two are measured in turn: what else the machine does
// is the same for both.
func cpuOfIngestion(b *bench) {
	bin := program.BuildCommit(b, b.base)
	var before, after, ratios []float64
	for range b.runs {
		for _, side := range []struct {
			name, bin string
			costs     *[]float64
		}{{b.base, bin, &before}, {"now", "", &after}} {
			b.must(func(b *bench) {
				did := ingestCorpus(b, side.bin, fakeprovider.Options{})
				*side.costs = append(*side.costs, did.cost("worker", "postgres"))
				b.note("%s: worker %.3f and PostgreSQL %.3f CPU seconds for 1,000 passages; %s", side.name, did.cost("worker"), did.cost("postgres"), did)
			})
		}
		ratios = append(ratios, after[len(after)-1]/before[len(before)-1])
	}
	b.report(result{name: "CPU of worker and PostgreSQL, " + b.base + " (median)", value: median(before), unit: "s/1,000 passages"})
	b.report(result{name: "CPU of worker and PostgreSQL, now (median)", value: median(after), unit: "s/1,000 passages"})
	b.report(result{"now over " + b.base + " (median of pairs)", median(ratios), "", atMost, 0.6})
}
