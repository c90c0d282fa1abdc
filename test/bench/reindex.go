package main

// measureReindexRate is how many passages a second go from short vectors to long ones,
// from the request until searches find them, and how much longer that takes
// than what the database needs for the same rows at the least.
func measureReindexRate(b *bench) {
	s, worker := newReindexInstallation(b)
	r := s.runReindex(worker, embeddingDimensions)
	passages, copied, indexed := s.baselineLoad(r.space)
	least := copied + indexed
	b.note("%d passages in %s", passages, &r)
	b.note("the same rows in %.2f s at the least: COPY %.2f s, index %.2f s (load %s)", least, copied, indexed, loadAverage())
	b.report(result{name: "reindex, 64 to 1536 dimensions", value: float64(passages) / r.seconds(), unit: "passages/s"})
	b.report(result{"its time over that of COPY and CREATE INDEX", r.seconds() / least, "", boundMax, 1.5})
}
