package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/garbage"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// collectVersion removes up to limit places of a version, and the version with
// the last of them, unless readers may see it or its job has not ended. The entry
// of one that readers see is dropped: whatever supersedes it lists it again.
func collectVersion(ctx context.Context, tx transaction, g garbage.Entry, ahead time.Duration, limit int) (more bool, err error) {
	var needed, deleted bool
	var job document.JobState
	var finished *micros
	err = tx.QueryRowContext(ctx, `
		SELECT d.deleted_at IS NULL AND (d.newest_version = ?3 OR d.published_version IS ?3), d.deleted_at IS NOT NULL,
		       coalesce(j.state, 'succeeded'), j.finished_at
		FROM documents d
		LEFT JOIN jobs j ON j.tenant = d.tenant AND j.document = d.id AND j.version = ?3
		WHERE d.tenant = ?1 AND d.id = ?2`, tx.tenant, g.DocumentID, g.Version).Scan(&needed, &deleted, &job, &finished)
	switch {
	case errors.Is(err, sql.ErrNoRows) || err == nil && needed:
		return false, deleteGarbageEntry(ctx, tx, g)
	case err != nil:
		return false, err
	case !job.Ended():
		return false, fault.New(fault.Conflict, "its job has not ended")
	}
	// Those that follow the job must see its end.
	if finished != nil && !deleted {
		if until := finished.add(garbage.JobRetention); until > tx.now.add(ahead) {
			_, err := tx.ExecContext(ctx, `UPDATE garbage SET due_at = ?3 WHERE tenant = ?1 AND id = ?2`, tx.tenant, g.ID, until)
			return false, err
		}
	}
	of := versionKey{g.DocumentID, g.Version}
	places, err := deleteManifestEntries(ctx, tx, of, 0, limit, versionKey{})
	if err != nil || places == limit {
		return true, err
	}
	if err := deleteVersion(ctx, tx, of); err != nil {
		return false, err
	}
	return false, deleteGarbageEntry(ctx, tx, g)
}

// deleteVersion deletes a version; its job, tasks and summary go with it, and the
// document with its last version. What it used of section summaries is listed for
// DropSections, and its object, unless another version shares it.
func deleteVersion(ctx context.Context, tx transaction, of versionKey) error {
	if _, err := tx.ExecContext(ctx, `
		INSERT INTO garbage (tenant, kind, due_at, object)
		SELECT v.tenant, 'object', ?4, v.object
		FROM versions v
		WHERE v.tenant = ?1 AND v.document = ?2 AND v.version = ?3
		  AND NOT EXISTS (SELECT 1 FROM versions o
		                  WHERE o.tenant = ?1 AND o.object = v.object AND (o.document, o.version) <> (?2, ?3))`,
		tx.tenant, of.document, of.number, tx.now); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `
		INSERT INTO released_sections (tenant, node, released_at)
		SELECT tenant, node, ?4 FROM version_sections WHERE tenant = ?1 AND document = ?2 AND version = ?3
		ON CONFLICT (tenant, node) DO UPDATE SET released_at = max(released_at, excluded.released_at)`,
		tx.tenant, of.document, of.number, tx.now); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `
		DELETE FROM versions WHERE tenant = ?1 AND document = ?2 AND version = ?3`, tx.tenant, of.document, of.number); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `
		DELETE FROM documents
		WHERE tenant = ?1 AND id = ?2
		  AND NOT EXISTS (SELECT 1 FROM versions WHERE tenant = ?1 AND document = ?2)`, tx.tenant, of.document)
	return err
}
