package main

import (
	"time"

	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
)

const (
	// providerLatency and providerCapacity are those of a provider that sets
	// the pace: it embeds texts one after another, so that no client can have
	// them all sooner than in their number divided by its capacity.
	providerLatency  = 50 * time.Millisecond
	providerCapacity = 1500 // texts a second
)

// measureCapacity is how near the worker comes to that bound.
func measureCapacity(b *bench) {
	var ratios []float64
	for range b.runs {
		b.mustRun(func(b *bench) {
			did := ingestCorpus(b, "", fakeprovider.Options{Latency: providerLatency, TextsPerSecond: providerCapacity})
			bound := float64(did.embedded) / providerCapacity
			ratios = append(ratios, did.seconds/bound)
			b.note("bound %.2f s; %s", bound, did)
		})
	}
	b.report(result{"wall time over the provider's bound (median)", median(ratios), "", boundMax, 1.05})
}
