package main

import (
	"time"

	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/internal/test/program"
)

// idleTime is how long idle processes are measured.
const idleTime = time.Minute

// measureIdleCPU measures the CPU time of an idle worker, and the CPU time that it costs in
// PostgreSQL and Redis in addition to that of the API server.
func measureIdleCPU(b *bench) {
	s := newInstallation(b, embeddingDimensions, fakeprovider.Options{})
	s.uploadOne("first.md", newGeneratedDocument(workerSize))
	alone := s.watchIdle()
	worker, _ := s.ingest(ingestLimit)
	used := s.watchIdle(worker)
	b.note("CPU seconds in %s: without a worker: %s; with one: %s", idleTime, alone, used)
	perMinute := func(name string) float64 {
		return (used.seconds(name) - alone.seconds(name)) * 1000 / idleTime.Minutes()
	}
	b.report(result{"idle worker-knowledge", perMinute("worker"), "ms/min", boundMax, 1000})
	b.report(result{"PostgreSQL for it", perMinute("postgres"), "ms/min", boundMax, 300})
	b.report(result{"Redis for it", perMinute("redis"), "ms/min", boundMax, 400})
}

// watchIdle returns the CPU time of all processes, including the given workers, while there is
// nothing to do.
func (s *installation) watchIdle(workers ...*program.Program) cpuUsage {
	settled := time.After(5 * time.Second) // earlier work has ended by then
	select {
	case <-settled:
	case <-s.b.ctx.Done():
		s.b.Fatal(s.b.ctx.Err())
	}
	cpu := s.watchCPU()
	for _, worker := range workers {
		cpu.add("worker", worker)
	}
	select {
	case <-time.After(idleTime):
	case <-s.b.ctx.Done():
		s.b.Fatal(s.b.ctx.Err())
	}
	return cpu.usage()
}
