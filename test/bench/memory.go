package main

import (
	"time"
)

const (
	small, large     = 1 << 20, 256 << 20 // documents, in bytes
	memoryDimensions = 64                 // short vectors, so that a long document does not take long
	memoryLimit      = 15 * time.Minute
	mebibyte         = 1 << 20
)

// workerMemory is the most memory that a worker has resident while it takes in
// a small document, and another one a large document.
func workerMemory(b *bench) {
	peak := func(size int64) (rss float64) {
		b.must(func(b *bench) {
			s := newSite(b, memoryDimensions, 0, 0)
			s.uploadOne("generated.md", newGenerated(size))
			worker, did := s.ingest(memoryLimit)
			rss = megabytes(b, worker)
			b.note("%d MiB: %s", size/mebibyte, did)
		})
		return rss
	}
	a, z := peak(small), peak(large)
	b.report(result{"worker-knowledge, peak RSS, 1 MiB document", a, "MiB", atMost, 128})
	b.report(result{"worker-knowledge, peak RSS, 256 MiB document", z, "MiB", atMost, 128})
	b.report(result{"the larger of them over the smaller", max(a, z) / min(a, z), "", atMost, 1.3})
}

// apiMemory is the most memory that the API has resident while it takes in a
// large document.
func apiMemory(b *bench) {
	s := newSite(b, memoryDimensions, 0, 0)
	begin := time.Now()
	s.uploadOne("generated.md", newGenerated(large))
	b.note("256 MiB uploaded in %.1f s", time.Since(begin).Seconds())
	b.report(result{"api, peak RSS, upload of 256 MiB", megabytes(b, s.api), "MiB", atMost, 96})
}

func megabytes(b *bench, p *process) float64 {
	rss, err := peakRSS(p.pid())
	if err != nil {
		b.Fatalf("memory of %s: %v", p.name, err)
	}
	return float64(rss) / mebibyte
}
