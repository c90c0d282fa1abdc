package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/lifecycle"
	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// AcceptUpload writes the document's next version and its job, or returns the job
// of the newest version when that is the same, or the answer that an earlier
// upload got under the same idempotency key.
func (s *Store) AcceptUpload(ctx context.Context, upload original.Upload) (accepted document.Accepted, err error) {
	defer wrapError(&err, "accept %q into collection %q", upload.Key, upload.Collection.Name)
	metadata, err := canonicalJSON(upload.Metadata)
	if err != nil {
		return accepted, fmt.Errorf("metadata: %w", err)
	}
	err = s.inWriteTransaction(ctx, func(tx transaction) (err error) {
		if upload.IdempotencyKey == "" {
			accepted, err = accept(ctx, tx, upload, metadata)
			return err
		}
		if accepted, err = loadIdempotencyKey(ctx, tx, upload); err != nil || accepted.Replayed {
			return err
		}
		if accepted, err = accept(ctx, tx, upload, metadata); err != nil {
			return err
		}
		return saveIdempotencyKey(ctx, tx, upload, accepted)
	})
	if err != nil {
		return document.Accepted{}, err
	}
	return accepted, nil
}

func accept(ctx context.Context, tx transaction, upload original.Upload, metadata string) (accepted document.Accepted, err error) {
	id, version, sha256, err := loadNewestVersion(ctx, tx, upload)
	if err != nil {
		return accepted, err
	}
	if err := lifecycle.CheckCondition(upload.Condition, sha256); err != nil {
		return accepted, err
	}
	if version > 0 {
		if accepted.Unchanged, err = isUnchanged(ctx, tx, id, version, upload, metadata); err != nil {
			return accepted, err
		}
	}
	if !accepted.Unchanged {
		if err := supersedeNewest(ctx, tx, id); err != nil {
			return accepted, err
		}
		version++
		if err := consumeUpload(ctx, tx, upload.Object); err != nil {
			return accepted, err
		}
		if err := addVersion(ctx, tx, id, version, upload, metadata); err != nil {
			return accepted, err
		}
	}
	if accepted.Document, err = readNewestVersion(ctx, tx, id); err != nil {
		return accepted, err
	}
	accepted.Job, err = readVersionJob(ctx, tx, id, version)
	return accepted, err
}

// supersedeNewest lists the newest version of a document, if there is one and readers
// do not see it: another is about to take its place.
func supersedeNewest(ctx context.Context, tx transaction, id uuid.UUID) error {
	of := versionKey{document: id}
	err := tx.QueryRowContext(ctx, `
		SELECT newest_version FROM documents WHERE tenant = ?1 AND id = ?2 AND published_version IS NOT newest_version`, tx.tenant, id).Scan(&of.number)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return insertGarbageVersion(ctx, tx, of)
}

// loadNewestVersion returns the document under the upload's key, its newest version
// and that one's hash, or a new id, 0 and nothing.
func loadNewestVersion(ctx context.Context, tx transaction, upload original.Upload) (id uuid.UUID, version int, sha256 string, err error) {
	err = tx.QueryRowContext(ctx, `
		SELECT d.id, d.newest_version, v.sha256
		FROM documents d
		JOIN versions v ON v.tenant = d.tenant AND v.document = d.id AND v.version = d.newest_version
		WHERE d.tenant = ?1 AND d.collection = ?2 AND d.key = ?3 AND d.deleted_at IS NULL`,
		tx.tenant, upload.Collection.ID, upload.Key).Scan(&id, &version, &sha256)
	if errors.Is(err, sql.ErrNoRows) {
		id, err = uuid.NewV7()
	}
	return id, version, sha256, err
}

// isUnchanged reports whether a version was made from the same original and
// settings as the upload, and its job has not come to nothing.
func isUnchanged(ctx context.Context, tx transaction, id uuid.UUID, version int, upload original.Upload, metadata string) (same bool, err error) {
	err = tx.QueryRowContext(ctx, `
		SELECT v.sha256 = ?4 AND v.title = ?5 AND v.metadata = ?6 AND v.media_type = ?7
		       AND coalesce(v.title_from_key = ?8, true)
		       AND j.state NOT IN ('failed', 'cancelled')
		FROM versions v
		JOIN jobs j ON j.tenant = v.tenant AND j.document = v.document AND j.version = v.version
		WHERE v.tenant = ?1 AND v.document = ?2 AND v.version = ?3`,
		tx.tenant, id, version, upload.SHA256, upload.Title, metadata, upload.MediaType, upload.TitleFromKey).Scan(&same)
	return same, err
}

// addVersion writes a version of a document, which is made for its first, and
// the version's job.
func addVersion(ctx context.Context, tx transaction, id uuid.UUID, version int, upload original.Upload, metadata string) error {
	if _, err := tx.ExecContext(ctx, `
		INSERT INTO documents (tenant, id, collection, key, state, newest_version, created_at, updated_at)
		VALUES (?1, ?2, ?3, ?4, 'pending', ?5, ?6, ?6)
		ON CONFLICT (tenant, id) DO UPDATE SET
			newest_version = excluded.newest_version,
			updated_at     = excluded.updated_at,
			state          = iif(published_version IS NULL, 'pending', state)`,
		tx.tenant, id, upload.Collection.ID, upload.Key, version, tx.now); err != nil {
		return err
	}
	warnings, err := json.Marshal(upload.Warnings)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `
		INSERT INTO versions (tenant, document, version, title, metadata, object, size, sha256, media_type, created_at, warnings, title_from_key, object_etag)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)`,
		tx.tenant, id, version, upload.Title, metadata, upload.Object, upload.Size,
		upload.SHA256, upload.MediaType, tx.now, string(warnings), upload.TitleFromKey, upload.ObjectETag); err != nil {
		return err
	}
	return addJob(ctx, tx, id, version, uuid.NullUUID{})
}
