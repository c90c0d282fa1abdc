package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/internal/test/program"
	"github.com/seed-7a112592/gristmill/pkg/client"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// installation is an installation of Gristmill with a provider and an API server. Workers are
// started by the figures that need them.
type installation struct {
	*program.Installation
	b        *bench
	db       *pgx.Conn // as the superuser
	provider *program.Program
	api      *program.Program
	client   *client.Client
}

// newInstallation sets up an installation with vectors of the given dimensions and a provider with
// the given options. more is added to the programs' environment. The installation is removed when b
// ends.
func newInstallation(b *bench, dimensions int, options fakeprovider.Options, more ...string) *installation {
	return newInstallationFrom(b, "", dimensions, options, more...)
}

// newInstallationFrom is newInstallation with the programs in the directory bin, or those of this
// checkout if bin is empty.
func newInstallationFrom(b *bench, bin string, dimensions int, options fakeprovider.Options, more ...string) *installation {
	s := &installation{b: b}
	var provider string
	s.provider, provider = startProvider(b, options)
	more = append(more, "GRISTMILL_OPENAI_BASE_URL="+provider, "GRISTMILL_EMBEDDING_DIMENSIONS="+strconv.Itoa(dimensions))
	if bin == "" {
		s.Installation = program.NewInstallation(b, more...)
	} else {
		s.Installation = program.NewInstallationFrom(b, bin, more...)
	}
	s.db = s.Connect()
	b.Cleanup(func() { s.db.Close(context.Background()) })
	s.api = s.Start("api")
	s.client = s.api.Client(program.APIKey)
	return s
}

// upload uploads documents, four at a time.
func (s *installation) upload(documents []corpusDocument) {
	const parallel = 4
	group, ctx := errgroup.WithContext(s.b.ctx)
	group.SetLimit(parallel)
	for _, d := range documents {
		group.Go(func() error {
			_, err := s.client.Upload(ctx, document.UploadRequest{Collection: d.collection, Key: d.key, MediaType: "text/markdown"}, d.reader())
			return err
		})
	}
	if err := group.Wait(); err != nil {
		s.b.Fatalf("upload: %v\n%s", err, s.api.Output())
	}
}

// uploadOne uploads one document.
func (s *installation) uploadOne(key string, body io.Reader) {
	if _, err := s.client.Upload(s.b.ctx, document.UploadRequest{Key: key, MediaType: "text/markdown"}, body); err != nil {
		s.b.Fatalf("upload %s: %v\n%s", key, err, s.api.Output())
	}
}

// ingestResult is the cost of publishing all documents. Passages that equal another are not
// embedded again and do not count.
type ingestResult struct {
	seconds  float64
	embedded int // number of passages
	cpu      cpuUsage
}

func (i ingestResult) passagesPerSecond() float64 { return float64(i.embedded) / i.seconds }

// cpuSecondsPer1000 returns the CPU seconds of the named processes per 1,000 passages.
func (i ingestResult) cpuSecondsPer1000(processes ...string) float64 {
	return i.cpu.seconds(processes...) / float64(i.embedded) * 1000
}

func (i ingestResult) String() string {
	return fmt.Sprintf("%d passages in %.2f s: %.0f per second; CPU seconds: %s (load %s)", i.embedded, i.seconds, i.passagesPerSecond(), i.cpu, loadAverage())
}

// ingest starts a worker and polls the database until every document is published. Fails if a
// document fails, or after limit.
func (s *installation) ingest(limit time.Duration) (worker *program.Program, did ingestResult) {
	return s.ingestWithWorkers(1, limit)
}

// ingestWithWorkers is ingest with several workers. It returns one of them.
func (s *installation) ingestWithWorkers(workers int, limit time.Duration) (worker *program.Program, did ingestResult) {
	// Earlier writes must not cost time during the measurement.
	if _, err := s.db.Exec(s.b.ctx, "CHECKPOINT"); err != nil {
		s.b.Fatal(err)
	}
	cpu := s.watchCPU()
	begin := time.Now()
	for range workers {
		worker = s.Start("worker-knowledge")
		cpu.add("worker", worker)
	}
	s.await(worker, limit, "documents are not published", s.allIngested)
	did.seconds = time.Since(begin).Seconds()
	did.cpu = cpu.usage()
	var failed int
	err := s.db.QueryRow(s.b.ctx, `
		SELECT (SELECT coalesce(sum((progress->>'embedded')::bigint), 0) FROM tasks WHERE kind = 'knowledge'),
		       (SELECT count(*) FROM documents WHERE state = 'failed')`).
		Scan(&did.embedded, &failed)
	if err != nil {
		s.b.Fatal(err)
	}
	if failed > 0 {
		s.b.Fatalf("%d documents failed:\n%s", failed, worker.Output())
	}
	return worker, did
}

// await polls until done returns true. Fails with the message after limit, or if the worker ends.
func (s *installation) await(worker *program.Program, limit time.Duration, message string, done func() bool) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(limit); !done(); {
		select {
		case <-tick.C:
		case <-worker.Done():
			s.b.Fatalf("the worker ended:\n%s", worker.Output())
		case <-end:
			s.b.Fatalf("%s after %s:\n%s", message, limit, worker.Output())
		case <-s.b.ctx.Done():
			s.b.Fatal(s.b.ctx.Err())
		}
	}
}

// allIngested reports whether every document is published or has failed.
func (s *installation) allIngested() (done bool) {
	err := s.db.QueryRow(s.b.ctx, `
		SELECT NOT EXISTS (SELECT FROM documents WHERE published_version IS NULL AND state <> 'failed')`).Scan(&done)
	if err != nil {
		s.b.Fatal(err)
	}
	return done
}
