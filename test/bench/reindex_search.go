package main

import (
	"time"
)

const (
	searchesPerSecond = 50
	searchWarmUp      = 5 * time.Second
	calmSearches      = 30 * time.Second // duration of the searches before the reindex, for comparison
)

// measureReindexSearch measures how much slower searches are while their collection is re-indexed,
// all on one machine.
func measureReindexSearch(b *bench) {
	s, worker := newReindexInstallation(b)
	l := s.search(searchesPerSecond)
	for _, wait := range []time.Duration{searchWarmUp, calmSearches} {
		select {
		case <-time.After(wait):
		case <-b.ctx.Done():
			b.Fatal(b.ctx.Err())
		}
	}
	r := s.runReindex(worker, embeddingDimensions)
	if err := l.stopAndWait(); err != nil {
		b.Fatalf("%v\n%s", err, s.api.Output())
	}
	before, during := l.latenciesBetween(r.begin.Add(-calmSearches), r.begin), l.latenciesBetween(r.begin, r.end)
	b.note("before: %s", before)
	for _, stage := range r.stages {
		b.note("%s: %s", stage.name, l.latenciesBetween(stage.begin, stage.end))
	}
	b.note("reindex in %s", &r)
	b.report(result{name: "search before a reindex, p99", value: before.quantile(0.99), unit: "ms"})
	b.report(result{name: "search during a reindex, p99", value: during.quantile(0.99), unit: "ms"})
	b.report(result{"the latter over the former", during.quantile(0.99) / before.quantile(0.99), "", boundMax, 2})
}
