package postgres

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Requeue gives each matching document a next version with the same original
// and settings, and a job for it.
func (s *Store) Requeue(ctx context.Context, filter document.DocumentFilter, id uuid.UUID, page document.Page) (list document.List[document.Job], err error) {
	defer describe(&err, "requeue documents")
	after, err := decodeCursor(page, requeueCursor, uuid.Nil)
	if err != nil {
		return list, err
	}
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		ids, err := lockIdle(ctx, tx, filter, id, after, page.Limit+1)
		if err != nil {
			return err
		}
		locked := cut(ids, page.Limit, func(last uuid.UUID) string { return encodeCursor(requeueCursor, last) })
		list.NextCursor = locked.NextCursor
		jobs, err := addVersions(ctx, tx, locked.Items)
		if err != nil {
			return err
		}
		list.Items, err = collect(ctx, tx, scanJobRow, selectJobs+`
			WHERE j.id = ANY ($1)
			ORDER BY j.document`, jobs)
		return err
	})
	return list, err
}

// lockIdle locks, in order of id, matching documents that have no unended job
// for their newest version.
func lockIdle(ctx context.Context, tx pgx.Tx, filter document.DocumentFilter, id, after uuid.UUID, limit int) ([]uuid.UUID, error) {
	return collect(ctx, tx, pgx.RowTo[uuid.UUID], `
		SELECT d.id
		FROM documents d
		JOIN collections c ON c.id = d.collection
		WHERE d.deleted_at IS NULL
		  AND d.id > $1
		  AND ($2::uuid IS NULL OR d.id = $2)
		  AND ($3 = '' OR c.name = $3)
		  AND ($4 = '' OR starts_with(d.key, $4))
		  AND ($5 = '' OR d.state = $5)
		  AND NOT EXISTS (SELECT FROM jobs j
		                  WHERE j.document = d.id AND j.version = d.newest_version
		                    AND j.state IN ('queued', 'running', 'waiting'))
		ORDER BY d.id
		LIMIT $6
		FOR NO KEY UPDATE OF d`,
		after, nullable(id), filter.Collection, filter.KeyPrefix, filter.State, limit)
}

// addVersions gives each of the documents, whose rows are locked, a version
// like its newest one, and returns the jobs. Between lockIdle's look at a
// document and its lock another transaction may have given it a job: this
// second look sees that.
func addVersions(ctx context.Context, tx pgx.Tx, ids []uuid.UUID) (jobs []uuid.UUID, err error) {
	rows, err := tx.Query(ctx, `
		SELECT d.id, d.newest_version
		FROM documents d
		WHERE d.id = ANY ($1)
		  AND NOT EXISTS (SELECT FROM jobs j
		                  WHERE j.document = d.id AND j.version = d.newest_version
		                    AND j.state IN ('queued', 'running', 'waiting'))`, ids)
	if err != nil {
		return nil, err
	}
	var batch pgx.Batch
	var id uuid.UUID
	var newest int
	if _, err := pgx.ForEachRow(rows, []any{&id, &newest}, func() error {
		batch.Queue(`
			INSERT INTO versions (document, version, space, title, metadata, object, size, sha256, media_type)
			SELECT v.document, v.version + 1, c.live_space, v.title, v.metadata, v.object, v.size, v.sha256, v.media_type
			FROM versions v
			JOIN documents d ON d.id = v.document
			JOIN collections c ON c.id = d.collection
			WHERE v.document = $1 AND v.version = $2`, id, newest)
		batch.Queue(`
			UPDATE documents SET
				newest_version = $2,
				updated_at     = now(),
				state          = CASE WHEN live_version IS NULL THEN 'pending' ELSE 'ready' END
			WHERE id = $1`, id, newest+1)
		job, err := queueJob(&batch, id, newest+1)
		jobs = append(jobs, job)
		return err
	}); err != nil {
		return nil, err
	}
	return jobs, tx.SendBatch(ctx, &batch).Close()
}
