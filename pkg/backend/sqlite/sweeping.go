package sqlite

import (
	"context"
	"time"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Tenants returns every tenant's id.
func (s *Store) Tenants(ctx context.Context) (ids []string, err error) {
	defer describe(&err, "list tenants")
	rows, err := s.readers.QueryContext(ctx, `SELECT id FROM tenants ORDER BY id`)
	return collect(rows, err, func(row scanner) (id string, err error) { return id, row.Scan(&id) })
}

// Remains returns versions that no reader can see any more.
func (s *Store) Remains(ctx context.Context, quiet time.Duration, limit int) (remains []document.Remains, err error) {
	defer describe(&err, "list remains")
	err = s.read(ctx, func(tx transaction) error {
		// Of remains that share an object the last one takes it away, unless a
		// version that stays uses it.
		rows, err := tx.QueryContext(ctx, `
			WITH remains AS (
				SELECT v.document, v.version, v.object
				FROM versions v
				JOIN documents d ON d.tenant = v.tenant AND d.id = v.document
				JOIN jobs j      ON j.tenant = v.tenant AND j.document = v.document AND j.version = v.version
				WHERE v.tenant = ?1
				  AND (d.deleted_at IS NOT NULL
				       OR v.version < d.newest_version AND v.version IS NOT d.live_version
				          AND j.finished_at <= ?3)
			)
			SELECT r.document, r.version, iif(EXISTS (
				SELECT 1 FROM versions other
				WHERE other.tenant = ?1 AND other.object = r.object
				  AND ((other.document, other.version) > (r.document, r.version)
				       OR (other.document, other.version) NOT IN (SELECT document, version FROM remains))
			), '', r.object)
			FROM remains r
			ORDER BY r.document, r.version
			LIMIT ?2`, tx.tenant, limit, tx.now.add(-quiet))
		remains, err = collect(rows, err, func(row scanner) (r document.Remains, err error) {
			return r, row.Scan(&r.Document, &r.Version, &r.Object)
		})
		return err
	})
	return remains, err
}

// Forget removes the rows of a version, and of its document when it was the
// last one.
func (s *Store) Forget(ctx context.Context, remains document.Remains) (err error) {
	defer describe(&err, "forget version %d of document %s", remains.Version, remains.Document)
	return s.write(ctx, func(tx transaction) error {
		// What it used of section summaries is listed for DropSections.
		if _, err := tx.ExecContext(ctx, `
			INSERT INTO released_sections (tenant, node, released_at)
			SELECT tenant, node, ?4 FROM version_sections WHERE tenant = ?1 AND document = ?2 AND version = ?3
			ON CONFLICT (tenant, node) DO UPDATE SET released_at = max(released_at, excluded.released_at)`,
			tx.tenant, remains.Document, remains.Version, tx.now); err != nil {
			return err
		}
		// Its places, job, tasks and summary go with it.
		if _, err := tx.ExecContext(ctx, `
			DELETE FROM versions WHERE tenant = ?1 AND document = ?2 AND version = ?3`,
			tx.tenant, remains.Document, remains.Version); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `
			DELETE FROM documents
			WHERE tenant = ?1 AND id = ?2
			  AND NOT EXISTS (SELECT 1 FROM versions WHERE tenant = ?1 AND document = ?2)`,
			tx.tenant, remains.Document)
		return err
	})
}

// Exclusively runs fn unless it is being run under the same name. No other
// process has the database open.
func (s *Store) Exclusively(ctx context.Context, name string, fn func(ctx context.Context) error) error {
	s.mu.Lock()
	taken := s.exclusive[name]
	s.exclusive[name] = true
	s.mu.Unlock()
	if taken {
		return nil
	}
	defer func() {
		s.mu.Lock()
		delete(s.exclusive, name)
		s.mu.Unlock()
	}()
	return fn(ctx)
}
