package main

// measureReindexRate measures how many passages per second are re-indexed from short to long
// vectors, from the request until searches use the new space, and compares the time with the
// minimum that the database needs for the same rows.
func measureReindexRate(b *bench) {
	s, worker := newReindexInstallation(b)
	r := s.runReindex(worker, embeddingDimensions)
	passages, copied, indexed := s.baselineLoad(r.space)
	minimum := copied + indexed
	b.note("%d passages in %s", passages, &r)
	b.note("minimum for the same rows %.2f s: COPY %.2f s, index %.2f s (load %s)", minimum, copied, indexed, loadAverage())
	b.report(result{name: "reindex, 64 to 1536 dimensions", value: float64(passages) / r.seconds(), unit: "passages/s"})
	b.report(result{"its time over that of COPY and CREATE INDEX", r.seconds() / minimum, "", boundMax, 1.5})
}
