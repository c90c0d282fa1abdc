package main

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
)

const (
	// Each collection is small enough not to be moved to its own table during the measurement.
	workerCollections = 4
	workerCopies      = 250      // copies of a document in each collection
	workerSize        = 16 << 10 // bytes

	// workerTasks is the number of concurrent tasks in a worker. It is low, so that four workers do
	// not fill two cores.
	workerTasks   = 1
	workerLatency = 50 * time.Millisecond // latency of the provider
)

// measureWorkers measures how much faster several workers are than one, and their CPU time, with a
// provider for which they wait most of the time.
func measureWorkers(b *bench) {
	text, err := io.ReadAll(newGeneratedDocument(workerSize))
	if err != nil {
		b.Fatal(err)
	}
	originals := make([]corpusDocument, workerCollections)
	for i := range originals {
		originals[i] = corpusDocument{"generated.md", text, fmt.Sprintf("collection-%d", i)}
	}
	documents, err := copyDocuments(originals, workerCopies)
	if err != nil {
		b.Fatal(err)
	}
	counts := []int{1, 2, 4}
	rates, costs := map[int][]float64{}, map[int][]float64{}
	for range b.runs {
		for _, n := range counts {
			b.mustRun(func(b *bench) {
				s := newInstallation(b, embeddingDimensions, fakeprovider.Options{Latency: workerLatency}, "GRISTMILL_WORKER_CONCURRENCY="+strconv.Itoa(workerTasks))
				s.upload(documents)
				_, did := s.ingestWithWorkers(n, ingestLimit)
				rates[n] = append(rates[n], did.passagesPerSecond())
				costs[n] = append(costs[n], did.cpuSecondsPer1000("worker", "postgres", "redis"))
				b.note("%d workers: %s", n, did)
			})
		}
	}
	one := median(rates[1])
	b.report(result{"1 worker, provider of 50 ms (median)", one, "passages/s", boundNone, 0})
	b.report(result{"2 workers over 1", median(rates[2]) / one, "", boundMin, 1.9})
	b.report(result{"4 workers over 1", median(rates[4]) / one, "", boundMin, 3.5})
	b.report(result{"CPU of workers, PostgreSQL and Redis, 1 worker", median(costs[1]), "s/1000", boundNone, 0})
	b.report(result{"the same, 4 workers over 1", median(costs[4]) / median(costs[1]), "", boundMax, 1.2})
}
