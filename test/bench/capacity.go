package main

import (
	"time"

	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
)

const (
	// providerLatency and providerCapacity describe a provider that limits the rate: it embeds
	// texts one after another, so no client can have all of them embedded in less time than their
	// number divided by its capacity.
	providerLatency  = 50 * time.Millisecond
	providerCapacity = 1500 // texts per second
)

// measureCapacity measures how close the worker comes to the provider's bound.
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
