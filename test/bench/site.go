package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/seed-7a112592/gristmill/pkg/client"
	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/test/services"
)

// site is an installation of Gristmill: a database, a Redis database and a
// bucket of its own, and the API. Workers are started when they are wanted.
type site struct {
	b        *bench
	dir      string   // of the programs
	env      []string // of every program
	db       *pgx.Conn
	provider *process
	api      *process
	client   *client.Client
}

// newSite sets up an installation whose collections have vectors of so many
// dimensions, from a provider of that latency and capacity. It is removed when
// the part ends.
func newSite(b *bench, dimensions int, latency time.Duration, textsPerSecond float64) *site {
	dir, err := b.programs()
	if err != nil {
		b.Fatal(err)
	}
	s := &site{b: b, dir: dir}
	var provider string
	s.provider, provider = startProvider(b, latency, textsPerSecond)
	owner, s3 := services.Postgres(b), services.S3(b)
	s.env = []string{
		"GRISTMILL_ADDR=127.0.0.1:0",
		"GRISTMILL_MIGRATE_DATABASE_URL=" + owner,
		"GRISTMILL_DATABASE_URL=" + s.connect(owner),
		"GRISTMILL_REDIS_URL=" + services.Redis(b),
		"GRISTMILL_S3_ENDPOINT=" + s3.Endpoint,
		"GRISTMILL_S3_ACCESS_KEY=" + s3.AccessKey,
		"GRISTMILL_S3_SECRET_KEY=" + s3.SecretKey,
		"GRISTMILL_S3_BUCKET=" + s3.Bucket,
		"GRISTMILL_S3_REGION=" + s3.Region,
		"GRISTMILL_OPENAI_BASE_URL=" + provider,
		"GRISTMILL_EMBEDDING_DIMENSIONS=" + strconv.Itoa(dimensions),
		"GRISTMILL_LOG_LEVEL=info",
	}
	s.start("gristmill", "migrate").end()
	s.api = s.start("api")
	s.client, err = client.New("http://"+s.api.listening(), "", nil)
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// connect connects to the database as its owner, and returns the URL of an
// application role, yet to be made, whose name is its own.
func (s *site) connect(owner string) string {
	var err error
	if s.db, err = pgx.Connect(s.b.ctx, owner); err != nil {
		s.b.Fatal(err)
	}
	app, err := url.Parse(owner)
	if err != nil {
		s.b.Fatal(err)
	}
	role := "gm_bench_" + uuid.New().String()[:8]
	app.User = url.UserPassword(role, uuid.NewString())
	s.b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		defer s.db.Close(ctx)
		if _, err := s.db.Exec(ctx, "DROP ROLE IF EXISTS "+pgx.Identifier{role}.Sanitize()); err != nil {
			s.b.Errorf("drop role %s: %v", role, err)
		}
	})
	return app.String()
}

func (s *site) start(program string, args ...string) *process {
	return start(s.b, s.env, filepath.Join(s.dir, program), args...)
}

// upload uploads documents, several at a time.
func (s *site) upload(documents []corpusDocument) {
	const parallel = 4
	group, ctx := errgroup.WithContext(s.b.ctx)
	group.SetLimit(parallel)
	for _, d := range documents {
		group.Go(func() error {
			_, err := s.client.Upload(ctx, document.UploadRequest{Key: d.key, MediaType: "text/markdown"}, d.reader())
			return err
		})
	}
	if err := group.Wait(); err != nil {
		s.b.Fatalf("upload: %v\n%s", err, s.api.output())
	}
}

// uploadOne uploads one document.
func (s *site) uploadOne(key string, body io.Reader) {
	if _, err := s.client.Upload(s.b.ctx, document.UploadRequest{Key: key, MediaType: "text/markdown"}, body); err != nil {
		s.b.Fatalf("upload %s: %v\n%s", key, err, s.api.output())
	}
}

// ingested is what it took to have all documents live. A passage that equals
// another is not embedded again, and does not count.
type ingested struct {
	seconds  float64
	embedded int // passages
	cpu      string
}

func (i ingested) rate() float64 { return float64(i.embedded) / i.seconds }

func (i ingested) String() string {
	return fmt.Sprintf("%d passages in %.2f s: %.0f a second; CPU seconds: %s (load %s)", i.embedded, i.seconds, i.rate(), i.cpu, load())
}

// ingest starts the worker and waits until every document is live, looking at
// the database. It fails when a document does, or after limit.
func (s *site) ingest(limit time.Duration) (worker *process, did ingested) {
	// What was written before is not to be paid for now.
	if _, err := s.db.Exec(s.b.ctx, "CHECKPOINT"); err != nil {
		s.b.Fatal(err)
	}
	cpu := watchCPU(s.provider)
	begin := time.Now()
	worker = s.start("worker-knowledge")
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(limit); !s.allDone(); {
		select {
		case <-tick.C:
		case <-worker.done:
			s.b.Fatalf("the worker ended:\n%s", worker.output())
		case <-end:
			s.b.Fatalf("documents are not live after %s:\n%s", limit, worker.output())
		case <-s.b.ctx.Done():
			s.b.Fatal(s.b.ctx.Err())
		}
	}
	did.seconds = time.Since(begin).Seconds()
	did.cpu = cpu.since(worker)
	var failed int
	err := s.db.QueryRow(s.b.ctx, `
		SELECT (SELECT count(*) FROM passages), (SELECT count(*) FROM documents WHERE state = 'failed')`).
		Scan(&did.embedded, &failed)
	if err != nil {
		s.b.Fatal(err)
	}
	if failed > 0 {
		s.b.Fatalf("%d documents failed:\n%s", failed, worker.output())
	}
	return worker, did
}

// allDone reports whether every document is live or has failed.
func (s *site) allDone() (done bool) {
	err := s.db.QueryRow(s.b.ctx, `
		SELECT NOT EXISTS (SELECT FROM documents WHERE live_version IS NULL AND state <> 'failed')`).Scan(&done)
	if err != nil {
		s.b.Fatal(err)
	}
	return done
}
