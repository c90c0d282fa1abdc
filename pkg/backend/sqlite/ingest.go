package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Accept writes the document's next version and its job, or returns the job
// of the newest version when that is the same, or the answer that an earlier
// upload got under the same idempotency key.
func (s *Store) Accept(ctx context.Context, upload document.Upload) (accepted document.Accepted, err error) {
	defer describe(&err, "accept %q into collection %q", upload.Key, upload.Collection.Name)
	metadata, err := canonicalJSON(upload.Metadata)
	if err != nil {
		return accepted, fmt.Errorf("metadata: %w", err)
	}
	err = s.write(ctx, func(tx transaction) (err error) {
		if upload.IdempotencyKey == "" {
			accepted, err = accept(ctx, tx, upload, metadata)
			return err
		}
		if accepted, err = answered(ctx, tx, upload); err != nil || accepted.Replayed {
			return err
		}
		if accepted, err = accept(ctx, tx, upload, metadata); err != nil {
			return err
		}
		return keepAnswer(ctx, tx, upload, accepted)
	})
	if err != nil {
		return document.Accepted{}, err
	}
	return accepted, nil
}

func accept(ctx context.Context, tx transaction, upload document.Upload, metadata string) (accepted document.Accepted, err error) {
	id, version, err := newestVersion(ctx, tx, upload)
	if err != nil {
		return accepted, err
	}
	if version > 0 {
		if accepted.Unchanged, err = unchanged(ctx, tx, id, version, upload, metadata); err != nil {
			return accepted, err
		}
	}
	if !accepted.Unchanged {
		version++
		if err := takeNote(ctx, tx, upload.Object); err != nil {
			return accepted, err
		}
		if err := addVersion(ctx, tx, id, version, upload, metadata); err != nil {
			return accepted, err
		}
	}
	if accepted.Document, err = newestDocument(ctx, tx, id); err != nil {
		return accepted, err
	}
	accepted.Job, err = jobOf(ctx, tx, id, version)
	return accepted, err
}

// newestVersion returns the document under the upload's key and its newest
// version, or a new id and 0.
func newestVersion(ctx context.Context, tx transaction, upload document.Upload) (id uuid.UUID, version int, err error) {
	err = tx.QueryRowContext(ctx, `
		SELECT id, newest_version FROM documents
		WHERE tenant = ?1 AND collection = ?2 AND key = ?3 AND deleted_at IS NULL`,
		tx.tenant, upload.Collection.ID, upload.Key).Scan(&id, &version)
	if errors.Is(err, sql.ErrNoRows) {
		id, err = uuid.NewV7()
	}
	return id, version, err
}

// unchanged reports whether a version was made from the same original and
// settings as the upload, and its job has not come to nothing.
func unchanged(ctx context.Context, tx transaction, id uuid.UUID, version int, upload document.Upload, metadata string) (same bool, err error) {
	err = tx.QueryRowContext(ctx, `
		SELECT v.sha256 = ?4 AND v.title = ?5 AND v.metadata = ?6 AND v.media_type = ?7
		       AND coalesce(v.title_from_key = ?8, true)
		       AND j.state NOT IN ('failed', 'cancelled')
		FROM versions v
		JOIN jobs j ON j.tenant = v.tenant AND j.document = v.document AND j.version = v.version
		WHERE v.tenant = ?1 AND v.document = ?2 AND v.version = ?3`,
		tx.tenant, id, version, upload.SHA256, upload.Title, metadata, upload.MediaType, upload.FromKey).Scan(&same)
	return same, err
}

// addVersion writes a version of a document, which is made for its first, and
// the version's job.
func addVersion(ctx context.Context, tx transaction, id uuid.UUID, version int, upload document.Upload, metadata string) error {
	if _, err := tx.ExecContext(ctx, `
		INSERT INTO documents (tenant, id, collection, key, state, newest_version, created_at, updated_at)
		VALUES (?1, ?2, ?3, ?4, 'pending', ?5, ?6, ?6)
		ON CONFLICT (tenant, id) DO UPDATE SET
			newest_version = excluded.newest_version,
			updated_at     = excluded.updated_at,
			state          = iif(live_version IS NULL, 'pending', state)`,
		tx.tenant, id, upload.Collection.ID, upload.Key, version, tx.now); err != nil {
		return err
	}
	warnings, err := json.Marshal(upload.Warnings)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `
		INSERT INTO versions (tenant, document, version, title, metadata, object, size, sha256, media_type, created_at, warnings, title_from_key)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)`,
		tx.tenant, id, version, upload.Title, metadata, upload.Object, upload.Size,
		upload.SHA256, upload.MediaType, tx.now, string(warnings), upload.FromKey); err != nil {
		return err
	}
	return addJob(ctx, tx, id, version, uuid.NullUUID{})
}
