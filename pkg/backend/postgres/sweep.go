package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
)

// Tenants returns every tenant's id.
func (s *Store) Tenants(ctx context.Context) (ids []string, err error) {
	defer describe(&err, "list tenants")
	rows, err := s.pool.Query(ctx, `SELECT id FROM tenants ORDER BY id`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// Remains returns versions that no reader can see any more. An original that
// several versions share goes with the last of them.
func (s *Store) Remains(ctx context.Context, quiet time.Duration, limit int) (remains []document.Remains, err error) {
	defer describe(&err, "find remains")
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		remains, err = collect(ctx, tx, pgx.RowToStructByPos[document.Remains], `
			WITH spent AS (
				SELECT v.document, v.version, v.object
				FROM versions v
				JOIN documents d ON d.id = v.document
				JOIN jobs j ON j.document = v.document AND j.version = v.version
				WHERE d.deleted_at IS NOT NULL AND j.finished_at IS NOT NULL
				   OR v.version <> d.newest_version AND v.version IS DISTINCT FROM d.live_version
				      AND j.finished_at <= clock_timestamp() - $2::interval
			)
			SELECT s.document, s.version,
			       CASE WHEN EXISTS (SELECT FROM versions o
			                         WHERE o.document = s.document AND o.object = s.object AND o.version <> s.version
			                           AND (o.version > s.version
			                                OR NOT EXISTS (SELECT FROM spent x WHERE x.document = o.document AND x.version = o.version)))
			            THEN '' ELSE s.object END
			FROM spent s
			ORDER BY s.document, s.version
			LIMIT $1`, limit, quiet)
		return err
	})
	return remains, err
}

// Forget removes the rows of a version whose object is gone already, and of
// the document with its last version. Forgetting twice is harmless.
func (s *Store) Forget(ctx context.Context, remains document.Remains) (err error) {
	defer describe(&err, "forget version %d of document %s", remains.Version, remains.Document)
	return s.inTenant(ctx, func(tx pgx.Tx) error {
		var visible bool
		err := tx.QueryRow(ctx, `
			SELECT deleted_at IS NULL AND ($2 = newest_version OR $2 IS NOT DISTINCT FROM live_version)
			FROM documents WHERE id = $1
			FOR UPDATE`, remains.Document, remains.Version).Scan(&visible)
		switch {
		case isNoRows(err):
			return nil
		case err != nil:
			return err
		case visible:
			return fault.New(fault.Conflict, "version %d of document %s is still needed", remains.Version, remains.Document)
		}
		return forget(ctx, tx, remains.Document, remains.Version)
	})
}

// forget removes a version; its job, tasks and summary go with it. What it used
// of section summaries is listed for DropSections.
func forget(ctx context.Context, tx pgx.Tx, id uuid.UUID, version int) error {
	var batch pgx.Batch
	batch.Queue(`DELETE FROM manifest WHERE document = $1 AND version = $2`, id, version)
	batch.Queue(`
		WITH released AS (DELETE FROM version_sections WHERE document = $1 AND version = $2 RETURNING node)
		INSERT INTO released_sections (node)
		SELECT node FROM released ORDER BY node
		ON CONFLICT (node, tenant) DO UPDATE
		SET released_at = greatest(released_sections.released_at, excluded.released_at)`, id, version)
	batch.Queue(`DELETE FROM versions WHERE document = $1 AND version = $2`, id, version)
	batch.Queue(`
		DELETE FROM documents d
		WHERE id = $1 AND NOT EXISTS (SELECT FROM versions v WHERE v.document = d.id)`, id)
	return tx.SendBatch(ctx, &batch).Close()
}
