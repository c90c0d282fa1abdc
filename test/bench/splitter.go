package main

import (
	"bytes"
	"testing"

	"github.com/seed-7a112592/gristmill/pkg/chunk"
)

// measureSplitter measures how many megabytes of the corpus are split per second: with tokens
// counted, and with bytes counted instead, which shows the cost of everything else.
func measureSplitter(b *bench) {
	documents := readCorpus(b)
	tokens := splitRate(b, documents, chunk.Options{})
	plain := splitRate(b, documents, chunk.Options{Tokens: 4 * 400, Count: func(s string) int { return len(s) }})
	b.report(result{name: "splitter, tokens counted", value: tokens, unit: "MB/s"})
	b.report(result{name: "splitter, tokens not counted", value: plain, unit: "MB/s"})
}

// splitRate returns the megabytes split per second on one core.
func splitRate(b *bench, documents []corpusDocument, options chunk.Options) float64 {
	size := 0
	for _, d := range documents {
		size += len(d.text)
	}
	var failed error
	r := testing.Benchmark(func(t *testing.B) {
		for t.Loop() {
			for _, d := range documents {
				for _, err := range chunk.Split(bytes.NewReader(d.text), options) {
					if err != nil {
						failed = err
					}
				}
			}
		}
	})
	if failed != nil {
		b.Fatalf("split: %v", failed)
	}
	return float64(size) * float64(r.N) / 1e6 / r.T.Seconds()
}
