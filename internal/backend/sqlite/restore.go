package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/lifecycle"
	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// RestoreOriginal puts an upload's object in the place of the one that a document's
// newest version names.
func (s *Store) RestoreOriginal(ctx context.Context, id uuid.UUID, lost string, upload original.Upload) (restored document.Accepted, err error) {
	defer wrapError(&err, "restore the original of document %s", id)
	err = s.inWriteTransaction(ctx, func(tx transaction) error {
		job, err := loadRestorableJob(ctx, tx, id, lost, upload)
		if err != nil {
			return err
		}
		if err := consumeUpload(ctx, tx, upload.Object); err != nil {
			return err
		}
		// Who reads the old object goes on; the sweep removes it later.
		if _, err := tx.ExecContext(ctx, `
			INSERT INTO uploads (tenant, object, created_at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING`,
			tx.tenant, lost, tx.now); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `
			UPDATE versions SET object = ?4, object_etag = ?5, damage = '' WHERE tenant = ?1 AND document = ?2 AND object = ?3`,
			tx.tenant, id, lost, upload.Object, upload.ObjectETag); err != nil {
			return err
		}
		if err := saveJob(ctx, tx, job, job.Restart(tx.now.time())); err != nil {
			return err
		}
		restored = document.Accepted{Unchanged: true, Restored: true}
		if restored.Document, err = readNewestVersion(ctx, tx, id); err != nil {
			return err
		}
		restored.Job, err = readJob(ctx, tx, job.ID)
		return err
	})
	if err != nil {
		return document.Accepted{}, err
	}
	return restored, nil
}

// loadRestorableJob returns the job of a document's newest version, which must be what
// was uploaded and name the lost object.
func loadRestorableJob(ctx context.Context, tx transaction, id uuid.UUID, lost string, upload original.Upload) (lifecycle.Job, error) {
	var version int
	err := tx.QueryRowContext(ctx, `
		SELECT v.version
		FROM documents d
		JOIN versions v ON v.tenant = d.tenant AND v.document = d.id AND v.version = d.newest_version
		WHERE d.tenant = ?1 AND d.id = ?2 AND d.deleted_at IS NULL AND v.object = ?3 AND v.size = ?4 AND v.sha256 = ?5`,
		tx.tenant, id, lost, upload.Size, upload.SHA256).Scan(&version)
	if errors.Is(err, sql.ErrNoRows) {
		err = fault.New(fault.Conflict, "document %s has changed since its original was looked at", id)
	}
	if err != nil {
		return lifecycle.Job{}, err
	}
	return loadJob(ctx, tx, lifecycle.DocumentNotFound(id), jobOfTask, id, version)
}
