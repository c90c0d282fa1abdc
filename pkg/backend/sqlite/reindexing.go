package sqlite

import (
	"context"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Requeue gives each matching document a next version with the same original
// and settings, and a job for it.
func (s *Store) Requeue(ctx context.Context, filter document.DocumentFilter, id uuid.UUID, page document.Page) (list document.List[document.Job], err error) {
	defer describe(&err, "requeue documents")
	var after uuid.UUID
	if err := decodeCursor("requeue", page.Cursor, &after); err != nil {
		return list, err
	}
	err = s.write(ctx, func(tx transaction) error {
		rows, err := tx.QueryContext(ctx, `
			SELECT d.id
			FROM documents d
			JOIN collections c ON c.tenant = d.tenant AND c.id = d.collection
			JOIN jobs j        ON j.tenant = d.tenant AND j.document = d.id AND j.version = d.newest_version
			WHERE d.tenant = ?1 AND d.deleted_at IS NULL
			  AND (?2 = '' OR c.name = ?2)
			  AND substr(d.key, 1, length(?3)) = ?3
			  AND (?4 = '' OR d.state = ?4)
			  AND (?5 = ?6 OR d.id = ?5)
			  AND d.id > ?7
			  AND j.state IN ('succeeded', 'failed', 'cancelled')
			ORDER BY d.id
			LIMIT ?8`, tx.tenant, filter.Collection, filter.KeyPrefix, filter.State, id, uuid.Nil, after, page.Limit+1)
		ids, err := collect(rows, err, func(row scanner) (id uuid.UUID, err error) { return id, row.Scan(&id) })
		if err != nil {
			return err
		}
		matching, err := cut("requeue", ids, page.Limit, func(id uuid.UUID) any { return id })
		if err != nil {
			return err
		}
		list = document.List[document.Job]{Items: []document.Job{}, NextCursor: matching.NextCursor}
		for _, id := range matching.Items {
			job, err := requeue(ctx, tx, id)
			if err != nil {
				return err
			}
			list.Items = append(list.Items, job)
		}
		return nil
	})
	return list, err
}

// requeue writes a version like the document's newest one, for the space that
// now answers searches.
func requeue(ctx context.Context, tx transaction, id uuid.UUID) (document.Job, error) {
	var version int
	if err := tx.QueryRowContext(ctx, `
		INSERT INTO versions (tenant, document, version, space, title, metadata, object, size, sha256, media_type, created_at)
		SELECT v.tenant, v.document, v.version + 1, c.live_space, v.title, v.metadata, v.object, v.size, v.sha256, v.media_type, ?3
		FROM documents d
		JOIN collections c ON c.tenant = d.tenant AND c.id = d.collection
		JOIN versions v    ON v.tenant = d.tenant AND v.document = d.id AND v.version = d.newest_version
		WHERE d.tenant = ?1 AND d.id = ?2
		RETURNING version`, tx.tenant, id, tx.now).Scan(&version); err != nil {
		return document.Job{}, err
	}
	if _, err := tx.ExecContext(ctx, `
		UPDATE documents SET
			newest_version = ?3,
			updated_at     = ?4,
			state          = iif(live_version IS NULL, 'pending', 'ready')
		WHERE tenant = ?1 AND id = ?2`, tx.tenant, id, version, tx.now); err != nil {
		return document.Job{}, err
	}
	if err := addJob(ctx, tx, id, version); err != nil {
		return document.Job{}, err
	}
	return jobOf(ctx, tx, id, version)
}
