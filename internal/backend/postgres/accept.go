package postgres

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/lifecycle"
	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// AcceptUpload writes the document's next version and its job. It returns the job of the newest
// version if the upload is the same, and the answer of an earlier upload if that had the same
// idempotency key.
func (s *Store) AcceptUpload(ctx context.Context, upload original.Upload) (accepted document.Accepted, err error) {
	defer wrapError(&err, "accept %q into collection %q", upload.Key, upload.Collection.Name)
	upload.Metadata, err = document.CanonicalMetadata(upload.Metadata)
	if err != nil {
		return document.Accepted{}, err
	}
	err = s.inTenant(ctx, func(tx pgx.Tx) (err error) {
		if upload.IdempotencyKey == "" {
			accepted, err = accept(ctx, tx, upload)
			return err
		}
		// The lock of the key comes before the locks of documents, so that there is no deadlock.
		if accepted, err = lockIdempotencyKey(ctx, tx, upload); err != nil || accepted.Replayed {
			return err
		}
		if accepted, err = accept(ctx, tx, upload); err != nil {
			return err
		}
		return saveIdempotencyKey(ctx, tx, upload, accepted)
	})
	if err != nil {
		return document.Accepted{}, err
	}
	return accepted, nil
}

func accept(ctx context.Context, tx pgx.Tx, upload original.Upload) (accepted document.Accepted, err error) {
	newest, err := lockNewestVersion(ctx, tx, upload)
	if err != nil {
		return document.Accepted{}, err
	}
	if accepted.Unchanged, err = newest.Accept(upload.Condition); err != nil {
		return document.Accepted{}, err
	}
	is := newest.Document
	var batch pgx.Batch
	if !accepted.Unchanged {
		var obsolete int
		if is, obsolete = newest.NextVersion(); obsolete > 0 {
			queueInsertGarbageVersion(&batch, is.ID, obsolete)
		}
		queueConsumeUpload(&batch, upload.Object)
		if err := queueInsertVersion(&batch, is, upload); err != nil {
			return document.Accepted{}, err
		}
	}
	// This is the version that was accepted, which may not be the published one.
	batch.Queue(selectDocuments+`
		JOIN versions v ON v.document = d.id AND v.version = d.newest_version
		WHERE d.id = $1`, is.ID).QueryRow(func(row pgx.Row) (err error) {
		accepted.Document, err = scanDocument(row)
		return err
	})
	batch.Queue(selectJobs+`
		WHERE j.document = $1 AND j.version = $2`, is.ID, is.Newest).QueryRow(func(row pgx.Row) (err error) {
		accepted.Job, err = scanJob(row)
		return err
	})
	return accepted, tx.SendBatch(ctx, &batch).Close()
}

// lockNewestVersion returns the newest version of the document that has the upload's key. If there is
// no document, it returns one with a new id and no version. Until the transaction ends, no other
// transaction adds a version there: one lock is on the key, because there may be no row yet, and one
// on the row, for transactions that find it by its id. Each statement sees what was committed before
// it began, so the last one sees what was written while the locks were waited for.
func lockNewestVersion(ctx context.Context, tx pgx.Tx, upload original.Upload) (n lifecycle.NewestVersion, err error) {
	var batch pgx.Batch
	batch.Queue(`
		SELECT pg_advisory_xact_lock(hashtextextended($1::uuid || '/' || $2::text, 0))`,
		upload.Collection.ID, upload.Key)
	batch.Queue(`
		SELECT FROM documents
		WHERE collection = $1 AND key = $2 AND deleted_at IS NULL
		FOR NO KEY UPDATE`, upload.Collection.ID, upload.Key)
	batch.Queue(`
		SELECT d.id, d.state, d.newest_version, coalesce(d.published_version, 0), v.sha256, j.state,
		       v.sha256 = $3 AND v.title = $4 AND v.metadata = $5 AND v.media_type = $6
		       AND coalesce(v.title_from_key = $7, true)
		FROM documents d
		JOIN versions v ON v.document = d.id AND v.version = d.newest_version
		JOIN jobs j ON j.document = d.id AND j.version = d.newest_version
		WHERE d.collection = $1 AND d.key = $2 AND d.deleted_at IS NULL`,
		upload.Collection.ID, upload.Key, upload.SHA256, upload.Title, upload.Metadata, upload.MediaType, upload.TitleFromKey).
		QueryRow(func(row pgx.Row) error {
			err := row.Scan(&n.ID, &n.State, &n.Newest, &n.Published, &n.SHA256, &n.Job, &n.SameContent)
			if isNoRows(err) {
				n.ID, err = uuid.NewV7()
			}
			return err
		})
	err = tx.SendBatch(ctx, &batch).Close()
	return n, err
}

// queueInsertVersion writes the newest version of a document, the document itself if this is its first
// version, and the version's job.
func queueInsertVersion(batch *pgx.Batch, is lifecycle.Document, upload original.Upload) error {
	batch.Queue(`
		INSERT INTO documents (id, collection, key, state, newest_version)
		VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (tenant, id) DO UPDATE SET
			state          = excluded.state,
			newest_version = excluded.newest_version,
			updated_at     = excluded.updated_at`,
		is.ID, upload.Collection.ID, upload.Key, is.State, is.Newest)
	batch.Queue(`
		INSERT INTO versions (document, version, title, metadata, object, size, sha256, media_type, warnings, title_from_key, object_etag)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		is.ID, is.Newest, upload.Title, upload.Metadata, upload.Object, upload.Size,
		upload.SHA256, upload.MediaType, append(document.Warnings{}, upload.Warnings...), upload.TitleFromKey, upload.ObjectETag)
	return queueInsertJob(batch, is.ID, is.Newest, uuid.Nil)
}

// queueInsertJob writes the job of a version and its tasks, queued and not yet
// dispatched. The reindex that makes it is the zero id when none does.
func queueInsertJob(batch *pgx.Batch, id uuid.UUID, version int, reindex uuid.UUID) error {
	job, err := uuid.NewV7()
	if err != nil {
		return err
	}
	batch.Queue(`
		INSERT INTO jobs (id, document, version, collection, size, reindex)
		SELECT $1, v.document, v.version, d.collection, v.size, $4
		FROM versions v
		JOIN documents d ON d.id = v.document
		WHERE v.document = $2 AND v.version = $3`,
		job, id, version, nullIfZero(reindex))
	for _, kind := range task.JobKinds {
		batch.Queue(`
			INSERT INTO tasks (job, kind, document, version) VALUES ($1, $2, $3, $4)`, job, kind, id, version)
	}
	return nil
}
