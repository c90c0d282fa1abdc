package postgres_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/rebuild"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
)

// A reindex that was running before the migration goes on: jobs that it had counted were
// not its own any more, and the others are counted once.
func TestMigrateKeepsJobsOfReindexes(t *testing.T) {
	t.Parallel()
	d, super := newOwnedDatabase(t)
	d.migrateTo(t, 34)
	reindex, lease := uuid.New(), uuid.New()
	fillOldSchema(t, super,
		`INSERT INTO documents (tenant, id, collection, key, state, newest_version, live_version)
		 SELECT tenant, gen_random_uuid(), id, key, 'ready', 1, 1 FROM collections, unnest('{counted,ended,running}'::text[]) AS key`,
		`INSERT INTO versions (tenant, document, version, title, metadata, object, size, sha256, media_type)
		 SELECT tenant, id, 1, '', '{}', 'default/' || key, 10, 'hash', 'text/plain' FROM documents`,
		`INSERT INTO placements (tenant, document, version, space, passages) SELECT d.tenant, d.id, 1, s.id, 0 FROM documents d, spaces s`,
		`INSERT INTO jobs (tenant, id, document, version, collection, size, state, reindex)
		 SELECT tenant, gen_random_uuid(), id, 1, collection, 10, CASE key WHEN 'running' THEN 'running' ELSE 'succeeded' END,
		        CASE WHEN key <> 'counted' THEN '`+reindex.String()+`'::uuid END
		 FROM documents`,
		`INSERT INTO tasks (tenant, job, kind, document, version, state)
		 SELECT tenant, id, kind, document, 1, CASE WHEN state = 'running' AND kind = 'summary' THEN 'queued' ELSE 'succeeded' END
		 FROM jobs, unnest('{knowledge,summary}'::text[]) AS kind`,
		`INSERT INTO reindexes (tenant, id, collection, change, from_space, to_space, model, dimensions, chunk_tokens, chunk_overlap, force,
		                        state, attempt, lease, lease_until, reached, progress)
		 SELECT tenant, '`+reindex.String()+`', id, 'nothing', live_space, live_space, 'm', 2, 10, 0, true,
		        'running', 1, '`+lease.String()+`', now() + interval '1 hour', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '{"documents": 3, "documents_done": 1}'
		 FROM collections`,
	)
	d.migrate(t)

	s, ctx := d.open(t), tenant.With(t.Context(), tenant.Default)
	work := task.Work{Ref: task.Ref{Tenant: tenant.Default, DocumentID: reindex, Version: 1, Kind: task.KindReindex}, JobID: reindex, Lease: lease}
	for range 2 {
		if got, err := s.RequeueDocuments(ctx, work, 10); err != nil || got != (rebuild.RequeueResult{}) {
			t.Errorf("got %+v, %v; want it to wait for the job that is running", got, err)
		}
		if r, err := s.Reindex(ctx, reindex); err != nil || r.Progress.DocumentsDone != 2 {
			t.Errorf("%d documents are done, %v; want 2", r.Progress.DocumentsDone, err)
		}
	}
	execute(t, super, `UPDATE jobs SET state = 'succeeded'`)
	if got, err := s.RequeueDocuments(ctx, work, 10); err != nil || !got.Ended {
		t.Errorf("got %+v, %v; want an end", got, err)
	}
	indexes := queryTexts(t, super, `SELECT indexname FROM pg_indexes WHERE tablename = 'jobs' AND indexdef LIKE '%(reindex%'`)
	if diff := cmp.Diff([]string{"jobs_uncounted"}, indexes); diff != "" {
		t.Errorf("indexes of jobs by reindex (-want +got):\n%s", diff)
	}
}
