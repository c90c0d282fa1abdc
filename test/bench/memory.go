package main

import (
	"time"

	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/internal/test/program"
)

const (
	mebibyte         = 1 << 20
	smallDocument    = 1 * mebibyte
	largeDocument    = 256 * mebibyte
	memoryDimensions = 64 // short vectors, so that a long document is ingested fast
	memoryLimit      = 15 * time.Minute
)

// measureWorkerMemory measures the peak resident set of a worker that ingests a small document, and
// of another one that ingests a large document. The small one takes so little time that it is
// measured several times.
func measureWorkerMemory(b *bench) {
	var small float64
	for range b.runs {
		small = max(small, workerPeak(b, smallDocument))
	}
	large := workerPeak(b, largeDocument)
	b.report(result{"worker-knowledge, peak RSS, 1 MiB document", small, "MiB", boundMax, 128})
	b.report(result{"worker-knowledge, peak RSS, 256 MiB document", large, "MiB", boundMax, 128})
	b.report(result{"the larger of them over the smaller", max(small, large) / min(small, large), "", boundMax, 1.3})
}

// workerPeak returns the peak resident set of a new worker that ingests one document, in MiB.
func workerPeak(b *bench, size int64) (rss float64) {
	b.mustRun(func(b *bench) {
		s := newInstallation(b, memoryDimensions, fakeprovider.Options{})
		s.uploadOne("generated.md", newGeneratedDocument(size))
		worker, did := s.ingest(memoryLimit)
		rss = peakMiB(b, worker)
		b.note("%d MiB: peak RSS %.1f MiB; %s", size/mebibyte, rss, did)
	})
	return rss
}

// measureAPIMemory measures the peak resident set of the API server while it accepts a large
// document.
func measureAPIMemory(b *bench) {
	s := newInstallation(b, memoryDimensions, fakeprovider.Options{})
	begin := time.Now()
	s.uploadOne("generated.md", newGeneratedDocument(largeDocument))
	b.note("256 MiB uploaded in %.1f s", time.Since(begin).Seconds())
	b.report(result{"api, peak RSS, upload of 256 MiB", peakMiB(b, s.api), "MiB", boundMax, 96})
}

func peakMiB(b *bench, p *program.Program) float64 {
	rss, err := peakRSS(p.PID())
	if err != nil {
		b.Fatalf("memory of %s: %v", p.Name, err)
	}
	return float64(rss) / mebibyte
}
