package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/backend/postgres"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// A reindex goes through documents some at a time, and does not begin anew for
// each part: it reads each document, and its version, a few times.
func TestReindexReadsEachDocumentAFewTimes(t *testing.T) {
	t.Parallel()
	const n = 6000
	begin := func(t *testing.T, ctx context.Context, s *postgres.Store, request document.ReindexRequest) task.Work {
		t.Helper()
		request.Collection = "c"
		r, err := s.BeginReindex(ctx, request)
		if err != nil {
			t.Fatal(err)
		}
		work, err := s.Claim(ctx, task.Ref{DocumentID: r.ID, Version: 1, Kind: task.KindReindex}, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return work
	}
	for name, read := range map[string]func(t *testing.T, ctx context.Context, s *postgres.Store){
		"documents to redo": func(t *testing.T, ctx context.Context, s *postgres.Store) {
			ids, err := s.DocumentsToRedo(ctx, document.ReindexRequest{Collection: "c"})
			if err != nil || len(ids) != n {
				t.Fatalf("%d documents, %v; want %d", len(ids), err, n)
			}
		},
		"requeue": func(t *testing.T, ctx context.Context, s *postgres.Store) {
			work := begin(t, ctx, s, document.ReindexRequest{})
			if requeued, err := s.RequeueDocuments(ctx, work, 1); err != nil || requeued.Jobs != 1 {
				t.Fatalf("requeued %+v, %v; want one job", requeued, err)
			}
			r, err := s.Reindex(ctx, work.DocumentID)
			if err != nil || r.Progress.Documents != n || r.Progress.Bytes != 10*n {
				t.Fatalf("there are %d documents of %d bytes to redo, %v; want %d and %d", r.Progress.Documents, r.Progress.Bytes, err, n, 10*n)
			}
		},
		"unplaced": func(t *testing.T, ctx context.Context, s *postgres.Store) {
			work := begin(t, ctx, s, document.ReindexRequest{Model: document.Model{Name: "other", Dimensions: 2}})
			seen := 0
			for after := uuid.Nil; ; {
				page, err := s.MissingVersions(ctx, work, after, 100)
				if err != nil {
					t.Fatal(err)
				}
				if seen += len(page); len(page) == 0 {
					break
				}
				after = page[len(page)-1].DocumentID
			}
			if seen != n {
				t.Fatalf("%d documents, want %d", seen, n)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, table := range []string{"documents", "versions"} {
				d := newCrowdedDatabase(t, n)
				if rows := rowsReadBy(t, d, table, func(ctx context.Context, s *postgres.Store) { read(t, ctx, s) }); rows > 3*n/2 {
					t.Errorf("%d rows of %s are read of %d", rows, table, n)
				}
			}
		})
	}
}

// The cost of counting a reindex's jobs does not grow with those that it has counted.
func TestReindexCountsEachJobOnce(t *testing.T) {
	t.Parallel()
	d := newCrowdedDatabase(t, 6000)
	s, ctx := d.open(t), tenant.With(t.Context(), tenant.Default)
	r, err := s.BeginReindex(ctx, document.ReindexRequest{Collection: "c", Force: true})
	if err != nil {
		t.Fatal(err)
	}
	work, err := s.Claim(ctx, task.Ref{DocumentID: r.ID, Version: 1, Kind: task.KindReindex}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	const uncounted = 3
	execute(t, d.owner, `UPDATE jobs SET reindex = $1, counted_by_reindex = true`, r.ID)
	execute(t, d.owner, `UPDATE jobs SET counted_by_reindex = false WHERE id IN (SELECT id FROM jobs LIMIT $1)`, uncounted)
	execute(t, d.owner, `INSERT INTO tasks (tenant, job, kind, document, version, state) SELECT tenant, id, 'knowledge', document, version, 'succeeded' FROM jobs`)
	execute(t, d.owner, `UPDATE reindexes SET last_document = 'ffffffff-ffff-ffff-ffff-ffffffffffff'`) // none is left
	execute(t, d.owner, `VACUUM ANALYZE`)
	if rows := rowsReadBy(t, d, "jobs", func(ctx context.Context, s *postgres.Store) {
		if got, err := s.RequeueDocuments(ctx, work, 1); err != nil || !got.Ended {
			t.Errorf("got %+v, %v; want an end", got, err)
		}
	}); rows > 10*uncounted {
		t.Errorf("%d rows of jobs are read, of which %d are to be counted", rows, uncounted)
	}
	if r, err = d.open(t).Reindex(ctx, r.ID); err != nil || r.State != document.JobSucceeded || r.Progress.DocumentsDone != uncounted {
		t.Errorf("got %+v, %v; want %d documents done", r, err, uncounted)
	}
}
