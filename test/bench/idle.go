package main

import (
	"time"

	"github.com/seed-7a112592/gristmill/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/test/program"
)

// idleTime is how long it is watched what processes do that have nothing to do.
const idleTime = time.Minute

// idleCPU is the CPU time that a worker with nothing to do takes, and what it
// takes of PostgreSQL and Redis beside what the API alone does.
func idleCPU(b *bench) {
	s := newSite(b, embeddingDimensions, fakeprovider.Options{})
	s.uploadOne("first.md", newGenerated(workerSize))
	alone := s.watchIdle()
	worker, _ := s.ingest(ingestLimit)
	used := s.watchIdle(worker)
	b.note("CPU seconds in %s: without a worker: %s; with one: %s", idleTime, alone, used)
	perMinute := func(name string) float64 { return (used.of(name) - alone.of(name)) * 1000 / idleTime.Minutes() }
	b.report(result{"idle worker-knowledge", perMinute("worker"), "ms/min", atMost, 1000})
	b.report(result{"PostgreSQL for it", perMinute("postgres"), "ms/min", atMost, 300})
	b.report(result{"Redis for it", perMinute("redis"), "ms/min", atMost, 400})
}

// watchIdle returns what CPU time goes by while nothing is to be done, also by
// these workers.
func (s *site) watchIdle(workers ...*program.Program) cpuUsed {
	settled := time.After(5 * time.Second) // after which what was done is over
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
	return cpu.since()
}
