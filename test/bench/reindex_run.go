package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/internal/test/program"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

const (
	shortDimensions = 64 // before the reindex
	reindexCopies   = 14 // of the corpus: 50,000 passages
	reindexTimeout  = 10 * time.Minute
	indexLimit      = 5 * time.Minute

	// indexThreshold is the default number of passages at which a space gets a vector index.
	indexThreshold = 20_000

	// indexWorkers is the number of additional database processes that build an index. The default
	// is none.
	indexWorkers = 0
)

// newReindexInstallation sets up an installation with 50,000 passages in an indexed space of short
// vectors, and an idle worker.
func newReindexInstallation(b *bench) (*installation, *program.Program) {
	documents, err := copyDocuments(readCorpus(b), reindexCopies)
	if err != nil {
		b.Fatal(err)
	}
	s := newInstallation(b, shortDimensions, fakeprovider.Options{})
	s.upload(documents)
	worker, did := s.ingest(ingestLimit)
	b.note("%d documents of %s", len(documents), did)
	if did.embedded < indexThreshold {
		b.Fatalf("%d passages are too few for a vector index, which needs %d: set GRISTMILL_TEST_CORPUS to a directory with more documents", did.embedded, indexThreshold)
	}
	s.awaitIndex(worker)
	return s, worker
}

// awaitIndex waits until the worker has built the vector index of the active space and measured its
// searches.
func (s *installation) awaitIndex(worker *program.Program) {
	s.await(worker, indexLimit, "the active space has no index, or its searches are not measured", func() (indexed bool) {
		err := s.db.QueryRow(s.b.ctx, `
			SELECT s.indexed AND s.ef_search IS NOT NULL FROM collections c JOIN spaces s ON s.id = c.active_space`).Scan(&indexed)
		if err != nil {
			s.b.Fatal(err)
		}
		return indexed
	})
}

// reindexRun is a reindex into another space, from the request until that space answers searches.
type reindexRun struct {
	id     uuid.UUID
	space  int64
	begin  time.Time
	stages []reindexStage
	end    time.Time
	cpu    cpuUsage
}

// reindexStage is a stage of a reindex. It ends when the next one starts.
type reindexStage struct {
	name  document.ReindexStage
	begin time.Time
	end   time.Time
}

// runReindex re-indexes the collection to vectors of the given dimensions.
func (s *installation) runReindex(worker *program.Program, dimensions int) reindexRun {
	if _, err := s.db.Exec(s.b.ctx, "CHECKPOINT"); err != nil {
		s.b.Fatal(err)
	}
	cpu := s.watchCPU()
	cpu.add("worker", worker)
	r := reindexRun{begin: time.Now()}
	started, err := s.client.BeginReindex(s.b.ctx, document.ReindexRequest{
		Collection: "default", Model: document.Model{Dimensions: dimensions},
	})
	if err != nil {
		s.b.Fatalf("begin the reindex: %v\n%s", err, s.api.Output())
	}
	r.id = started[0].ID
	r.startStage(document.StageDocuments, r.begin)
	s.await(worker, reindexTimeout, "the reindex is not done", func() bool {
		var stage document.ReindexStage
		var state document.JobState
		var failure string
		var switched bool
		err := s.db.QueryRow(s.b.ctx, `
			SELECT r.stage, r.state, r.error, r.to_space, c.active_space = r.to_space
			FROM reindexes r JOIN collections c ON c.id = r.collection
			WHERE r.id = $1`, r.id).Scan(&stage, &state, &failure, &r.space, &switched)
		if err != nil {
			s.b.Fatal(err)
		}
		if failure != "" || state.Ended() && !switched {
			s.b.Fatalf("the reindex is %s: %s\n%s", state, failure, worker.Output())
		}
		r.end = time.Now()
		if !switched {
			r.startStage(stage, r.end)
		}
		return switched
	})
	r.stages[len(r.stages)-1].end = r.end
	r.cpu = cpu.usage()
	return r
}

// startStage records the start of a stage, unless it is the current one.
func (r *reindexRun) startStage(stage document.ReindexStage, at time.Time) {
	if n := len(r.stages); n > 0 {
		if r.stages[n-1].name == stage {
			return
		}
		r.stages[n-1].end = at
	}
	r.stages = append(r.stages, reindexStage{name: stage, begin: at})
}

func (r *reindexRun) seconds() float64 { return r.end.Sub(r.begin).Seconds() }

func (r *reindexRun) String() string {
	parts := make([]string, len(r.stages))
	for i, stage := range r.stages {
		parts[i] = fmt.Sprintf("%s %.2f s", stage.name, stage.end.Sub(stage.begin).Seconds())
	}
	return fmt.Sprintf("%.2f s: %s; CPU seconds: %s (load %s)", r.seconds(), strings.Join(parts, ", "), r.cpu, loadAverage())
}
