package main

import (
	"time"

	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
)

const (
	embeddingDimensions = 1536 // those of OpenAI's small model
	corpusCopies        = 4    // copies of the corpus in one run: a few seconds of work
	ingestLimit         = 5 * time.Minute
)

// measureThroughput measures how many passages per second a worker processes, from object storage
// to searchable vectors, when the provider answers immediately.
func measureThroughput(b *bench) {
	var rates []float64
	for range b.runs {
		b.mustRun(func(b *bench) {
			did := ingestCorpus(b, "", fakeprovider.Options{})
			rates = append(rates, did.passagesPerSecond())
			b.note("%s", did)
		})
	}
	b.report(result{"end to end, provider unlimited (median)", median(rates), "passages/s", boundMin, 2500})
}

// ingestCorpus sets up an installation with the programs in the directory bin, or of this checkout
// if it is empty, and a provider with the given options. It uploads copies of the corpus and then
// starts a worker, which ingests them.
func ingestCorpus(b *bench, bin string, options fakeprovider.Options) ingestResult {
	documents, err := copyDocuments(readCorpus(b), corpusCopies)
	if err != nil {
		b.Fatal(err)
	}
	s := newInstallationFrom(b, bin, embeddingDimensions, options)
	s.upload(documents)
	_, did := s.ingest(ingestLimit)
	return did
}
