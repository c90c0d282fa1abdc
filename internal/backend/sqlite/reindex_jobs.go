package sqlite

import (
	"context"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// reindexJobs are the jobs that a reindex made, of each document the last one:
// a reindex that is resumed after some of them failed makes others.
type reindexJobs struct {
	all, unended, failed       int
	bytes, bytesDone           int64
	passages, embedded, reused int64
}

func countReindexJobs(ctx context.Context, tx transaction, id uuid.UUID) (jobs reindexJobs, err error) {
	// SQLite would rather look through all jobs of the tenant.
	err = tx.QueryRowContext(ctx, `
		SELECT count(*),
		       count(*) FILTER (WHERE j.state IN ('queued', 'running', 'waiting')),
		       count(*) FILTER (WHERE j.state = 'failed'),
		       coalesce(sum(j.size), 0),
		       coalesce(sum(j.size) FILTER (WHERE j.state NOT IN ('queued', 'running', 'waiting')), 0),
		       coalesce(sum(k.progress ->> 'passages'), 0),
		       coalesce(sum(k.progress ->> 'embedded'), 0),
		       coalesce(sum(k.progress ->> 'reused'), 0)
		FROM jobs j INDEXED BY jobs_reindex
		JOIN tasks k ON k.tenant = j.tenant AND k.document = j.document AND k.version = j.version AND k.kind = 'knowledge'
		WHERE j.tenant = ?1 AND j.reindex = ?2
		  AND NOT EXISTS (SELECT 1 FROM jobs later
		                  WHERE later.tenant = j.tenant AND later.document = j.document AND later.version > j.version
		                    AND later.reindex = j.reindex)`, tx.tenant, id).
		Scan(&jobs.all, &jobs.unended, &jobs.failed, &jobs.bytes, &jobs.bytesDone,
			&jobs.passages, &jobs.embedded, &jobs.reused)
	return jobs, err
}

// addTo has the progress of the reindex say what its jobs have done; and, once
// it has made the last one, that there are no others.
func (j reindexJobs) addTo(progress *document.ReindexProgress, last bool) {
	progress.DocumentsDone = int64(j.all - j.unended)
	progress.BytesDone = j.bytesDone
	progress.Passages, progress.Embedded, progress.Reused = j.passages, j.embedded, j.reused
	if last || progress.Documents < int64(j.all) {
		progress.Documents, progress.Bytes = int64(j.all), j.bytes
	}
}
