package main

import (
	"time"

	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
)

const (
	embeddingDimensions = 1536 // of the vectors, as OpenAI's small model has
	corpusCopies        = 4    // of the corpus in one run: some seconds of work
	ingestLimit         = 5 * time.Minute
)

// measureThroughput is how many passages a second the worker takes from object
// storage to vectors that can be searched, when the provider answers at once.
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

// ingestCorpus has a new installation, of the programs of a directory or of
// this checkout, ingest copies of the corpus, uploaded before its worker starts,
// with such a provider.
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
