package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
)

// EnsureCollection returns the collection of that name, made on first use.
func (s *Store) EnsureCollection(ctx context.Context, name string, model document.Model, chunking document.Chunking) (c document.Collection, err error) {
	defer describe(&err, "ensure collection %q", name)
	err = s.write(ctx, func(tx transaction) error {
		c, err = collection(ctx, tx, name)
		if !fault.Is(err, fault.NotFound) {
			return err
		}
		c, err = addCollection(ctx, tx, name, model, chunking)
		return err
	})
	return c, err
}

func collection(ctx context.Context, tx transaction, name string) (document.Collection, error) {
	var c document.Collection
	err := tx.QueryRowContext(ctx, `
		SELECT c.id, c.name, s.id, s.model, s.dimensions, s.chunk_tokens, s.chunk_overlap
		FROM collections c
		JOIN spaces s ON s.tenant = c.tenant AND s.id = c.live_space
		WHERE c.tenant = ?1 AND c.name = ?2`, tx.tenant, name).
		Scan(&c.ID, &c.Name, &c.Space.ID, &c.Space.Model.Name, &c.Space.Model.Dimensions,
			&c.Space.Chunking.Tokens, &c.Space.Chunking.Overlap)
	if errors.Is(err, sql.ErrNoRows) {
		return c, fault.New(fault.NotFound, "there is no collection %q", name)
	}
	c.Space.Collection = c.ID
	return c, err
}

func addCollection(ctx context.Context, tx transaction, name string, model document.Model, chunking document.Chunking) (document.Collection, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return document.Collection{}, err
	}
	c := document.Collection{ID: id, Name: name,
		Space: document.Space{Collection: id, Model: model, Chunking: chunking}}

	// The space that the collection refers to follows in this transaction.
	if _, err := tx.ExecContext(ctx, `
		INSERT INTO collections (tenant, id, name, live_space, created_at)
		VALUES (?1, ?2, ?3, 0, ?4)`, tx.tenant, id, name, tx.now); err != nil {
		return c, err
	}
	if err := tx.QueryRowContext(ctx, `
		INSERT INTO spaces (tenant, collection, model, dimensions, chunk_tokens, chunk_overlap, created_at)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
		RETURNING id`, tx.tenant, id, model.Name, model.Dimensions, chunking.Tokens, chunking.Overlap, tx.now).
		Scan(&c.Space.ID); err != nil {
		return c, err
	}
	_, err = tx.ExecContext(ctx, `
		UPDATE collections SET live_space = ?3 WHERE tenant = ?1 AND id = ?2`, tx.tenant, id, c.Space.ID)
	return c, err
}

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
		       AND j.state NOT IN ('failed', 'cancelled')
		FROM versions v
		JOIN jobs j ON j.tenant = v.tenant AND j.document = v.document AND j.version = v.version
		WHERE v.tenant = ?1 AND v.document = ?2 AND v.version = ?3`,
		tx.tenant, id, version, upload.SHA256, upload.Title, metadata, upload.MediaType).Scan(&same)
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
			state          = iif(live_version IS NULL, 'pending', 'ready')`,
		tx.tenant, id, upload.Collection.ID, upload.Key, version, tx.now); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `
		INSERT INTO versions (tenant, document, version, space, title, metadata, object, size, sha256, media_type, created_at)
		SELECT ?1, ?2, ?3, live_space, ?5, ?6, ?7, ?8, ?9, ?10, ?11
		FROM collections WHERE tenant = ?1 AND id = ?4`,
		tx.tenant, id, version, upload.Collection.ID, upload.Title, metadata, upload.Object, upload.Size,
		upload.SHA256, upload.MediaType, tx.now); err != nil {
		return err
	}
	return addJob(ctx, tx, id, version)
}
