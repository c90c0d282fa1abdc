package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/seed-7a112592/gristmill/internal/fault"
)

// BeginUpload notes that an object is about to be written.
func (s *Store) BeginUpload(ctx context.Context, object string) (err error) {
	defer wrapError(&err, "begin upload of object %s", object)
	return s.inTenant(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO uploads (object) VALUES ($1)`, object)
		return err
	})
}

// AbortUpload removes the note of an object that is gone.
func (s *Store) AbortUpload(ctx context.Context, object string) (err error) {
	defer wrapError(&err, "end upload of object %s", object)
	return s.inTenant(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM uploads WHERE object = $1`, object)
		return err
	})
}

// queueConsumeUpload removes the note of an object whose document is accepted in
// the same transaction, unless the sweep has been there before.
func queueConsumeUpload(batch *pgx.Batch, object string) {
	batch.Queue(`DELETE FROM uploads WHERE object = $1`, object).
		Exec(func(tag pgconn.CommandTag) error {
			if tag.RowsAffected() == 0 {
				return fault.New(fault.NotFound, "the upload of object %s was given up", object)
			}
			return nil
		})
}

// ExpireUploads lists the objects of uploads that were begun longer than quiet
// ago, and takes their notes, so that they are never accepted.
func (s *Store) ExpireUploads(ctx context.Context, quiet time.Duration, limit int) (abandoned int, err error) {
	defer wrapError(&err, "abandon uploads")
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		var tag pgconn.CommandTag
		tag, err = tx.Exec(ctx, `
			WITH abandoned AS (
				DELETE FROM uploads
				WHERE object = ANY (ARRAY(
					SELECT object
					FROM uploads
					WHERE created_at <= statement_timestamp() - $1::interval
					ORDER BY created_at
					LIMIT $2
					FOR UPDATE SKIP LOCKED))
				RETURNING object
			)
			INSERT INTO garbage (kind, object)
			SELECT 'object', object FROM abandoned`, quiet, limit)
		abandoned = int(tag.RowsAffected())
		return err
	})
	return abandoned, err
}
