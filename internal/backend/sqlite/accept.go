package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/lifecycle"
	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// AcceptUpload writes the document's next version and its job. It returns the job of the newest
// version if the upload is the same, and the answer of an earlier upload if that had the same
// idempotency key.
func (s *Store) AcceptUpload(ctx context.Context, upload original.Upload) (accepted document.Accepted, err error) {
	defer wrapError(&err, "accept %q into collection %q", upload.Key, upload.Collection.Name)
	if upload.Metadata, err = document.CanonicalMetadata(upload.Metadata); err != nil {
		return accepted, err
	}
	err = s.inWriteTransaction(ctx, func(tx transaction) (err error) {
		if upload.IdempotencyKey == "" {
			accepted, err = accept(ctx, tx, upload)
			return err
		}
		if accepted, err = loadIdempotencyKey(ctx, tx, upload); err != nil || accepted.Replayed {
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

func accept(ctx context.Context, tx transaction, upload original.Upload) (accepted document.Accepted, err error) {
	newest, err := loadNewestVersion(ctx, tx, upload)
	if err != nil {
		return accepted, err
	}
	if accepted.Unchanged, err = newest.Accept(upload.Condition); err != nil {
		return accepted, err
	}
	is := newest.Document
	if !accepted.Unchanged {
		var obsolete int
		is, obsolete = newest.NextVersion()
		if err := consumeUpload(ctx, tx, upload.Object); err != nil {
			return accepted, err
		}
		if err := addVersion(ctx, tx, is, upload); err != nil {
			return accepted, err
		}
		if err := insertGarbageVersion(ctx, tx, versionKey{is.ID, obsolete}); err != nil {
			return accepted, err
		}
	}
	if accepted.Document, err = readNewestVersion(ctx, tx, is.ID); err != nil {
		return accepted, err
	}
	accepted.Job, err = readVersionJob(ctx, tx, is.ID, is.Newest)
	return accepted, err
}

// loadNewestVersion returns the newest version of the document that has the upload's key. If there is
// no document, it returns one with a new id and no version.
func loadNewestVersion(ctx context.Context, tx transaction, upload original.Upload) (n lifecycle.NewestVersion, err error) {
	var metadata []byte
	err = tx.QueryRowContext(ctx, `
		SELECT d.id, d.state, d.newest_version, coalesce(d.published_version, 0), v.sha256, v.metadata, j.state,
		       v.sha256 = ?4 AND v.title = ?5 AND v.media_type = ?6 AND coalesce(v.title_from_key = ?7, true)
		FROM documents d
		JOIN versions v ON v.tenant = d.tenant AND v.document = d.id AND v.version = d.newest_version
		JOIN jobs j     ON j.tenant = d.tenant AND j.document = d.id AND j.version = d.newest_version
		WHERE d.tenant = ?1 AND d.collection = ?2 AND d.key = ?3 AND d.deleted_at IS NULL`,
		tx.tenant, upload.Collection.ID, upload.Key, upload.SHA256, upload.Title, upload.MediaType, upload.TitleFromKey).
		Scan(&n.ID, &n.State, &n.Newest, &n.Published, &n.SHA256, &metadata, &n.Job, &n.SameContent)
	if errors.Is(err, sql.ErrNoRows) {
		n.ID, err = uuid.NewV7()
		return n, err
	}
	if err == nil && n.SameContent {
		n.SameContent, err = sameJSON(metadata, upload.Metadata)
	}
	return n, err
}

// loadDocument returns what decisions about a document depend on. If there is none, it returns the
// zero value.
func loadDocument(ctx context.Context, tx transaction, id uuid.UUID) (d lifecycle.Document, err error) {
	err = tx.QueryRowContext(ctx, `
		SELECT id, state, newest_version, coalesce(published_version, 0), deleted_at IS NOT NULL
		FROM documents WHERE tenant = ?1 AND id = ?2`, tx.tenant, id).Scan(&d.ID, &d.State, &d.Newest, &d.Published, &d.Deleted)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return d, err
}

// addVersion writes the newest version of a document, the document itself if this is its first
// version, and the version's job.
func addVersion(ctx context.Context, tx transaction, is lifecycle.Document, upload original.Upload) error {
	if err := tx.exec(ctx, `
		INSERT INTO documents (tenant, id, collection, key, state, newest_version, created_at, updated_at)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)
		ON CONFLICT (tenant, id) DO UPDATE SET
			state          = excluded.state,
			newest_version = excluded.newest_version,
			updated_at     = excluded.updated_at`,
		tx.tenant, is.ID, upload.Collection.ID, upload.Key, is.State, is.Newest, tx.now); err != nil {
		return err
	}
	warnings, err := json.Marshal(upload.Warnings)
	if err != nil {
		return err
	}
	if err := tx.exec(ctx, `
		INSERT INTO versions (tenant, document, version, title, metadata, object, size, sha256, media_type, created_at, warnings, title_from_key, object_etag)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)`,
		tx.tenant, is.ID, is.Newest, upload.Title, string(upload.Metadata), upload.Object, upload.Size,
		upload.SHA256, upload.MediaType, tx.now, string(warnings), upload.TitleFromKey, upload.ObjectETag); err != nil {
		return err
	}
	return addJob(ctx, tx, is.ID, is.Newest, uuid.NullUUID{})
}
