package postgres

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// RestoreOriginal puts an upload's object in the place of the one that a document's
// newest version names.
func (s *Store) RestoreOriginal(ctx context.Context, id uuid.UUID, lost string, upload original.Upload) (restored document.Accepted, err error) {
	defer wrapError(&err, "restore the original of document %s", id)
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		was, err := lockRestorableJob(ctx, tx, id, lost, upload)
		if err != nil {
			return err
		}
		var batch pgx.Batch
		queueConsumeUpload(&batch, upload.Object)
		// Who reads the old object goes on; the sweep removes it later.
		batch.Queue(`INSERT INTO uploads (object) VALUES ($1) ON CONFLICT DO NOTHING`, lost)
		batch.Queue(`UPDATE versions SET object = $3, object_etag = $4, damage = '' WHERE document = $1 AND object = $2`,
			id, lost, upload.Object, upload.ObjectETag)
		queueSave(&batch, was.Job, was.Restart(was.now), s.processID, nil)
		if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
			return err
		}
		restored = document.Accepted{Unchanged: true, Restored: true}
		if restored.Document, err = scanDocument(tx.QueryRow(ctx, selectDocuments+`
			JOIN versions v ON v.document = d.id AND v.version = d.newest_version
			WHERE d.id = $1`, id)); err != nil {
			return err
		}
		restored.Job, err = readJob(ctx, tx, was.ID)
		return err
	})
	return restored, err
}

// lockRestorableJob locks the document and returns the job of its newest version,
// which must be what was uploaded and name the lost object.
func lockRestorableJob(ctx context.Context, tx pgx.Tx, id uuid.UUID, lost string, upload original.Upload) (lockedJob, error) {
	return lockJob(ctx, tx, fault.New(fault.Conflict, "document %s has changed since its original was looked at", id), restorable, []any{id, lost, upload.Size, upload.SHA256})
}

var restorable = which{`id = $1`, `j.document = $1 AND j.version = d.newest_version AND d.deleted_at IS NULL
	AND EXISTS (SELECT FROM versions v WHERE v.document = j.document AND v.version = j.version AND v.object = $2 AND v.size = $3 AND v.sha256 = $4)`}
