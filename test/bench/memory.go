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
	memoryDimensions = 64 // short vectors, so that a long document does not take long
	memoryLimit      = 15 * time.Minute
)

// measureWorkerMemory is the most memory that a worker has resident while it takes in
// a small document, which is over so soon that it is tried more than once, and
// another worker a large document.
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

// workerPeak has a new worker take in one document, and returns its peak RSS
// in MiB.
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

// measureAPIMemory is the most memory that the API has resident while it takes in a
// large document.
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
