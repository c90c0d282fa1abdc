package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/seed-7a112592/gristmill/pkg/fault"
)

// BeginUpload notes that an object is about to be written.
func (s *Store) BeginUpload(ctx context.Context, object string) (err error) {
	defer describe(&err, "begin upload of object %s", object)
	return s.inTenant(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO uploads (object) VALUES ($1)`, object)
		return err
	})
}

// EndUpload removes the note of an object that is gone.
func (s *Store) EndUpload(ctx context.Context, object string) (err error) {
	defer describe(&err, "end upload of object %s", object)
	return s.inTenant(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM uploads WHERE object = $1`, object)
		return err
	})
}

// queueTakeNote removes the note of an object whose document is accepted in
// the same transaction, unless the sweep has been there before.
func queueTakeNote(batch *pgx.Batch, object string) {
	batch.Queue(`DELETE FROM uploads WHERE object = $1 AND abandoned_at IS NULL`, object).
		Exec(func(tag pgconn.CommandTag) error {
			if tag.RowsAffected() == 0 {
				return fault.New(fault.NotFound, "the upload of object %s was given up", object)
			}
			return nil
		})
}

// Abandoned marks notes older than quiet as abandoned and returns their
// objects. A note that is being taken at the moment is passed over.
func (s *Store) Abandoned(ctx context.Context, quiet time.Duration, limit int) (objects []string, err error) {
	defer describe(&err, "abandon uploads")
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		objects, err = collect(ctx, tx, pgx.RowTo[string], `
			UPDATE uploads SET abandoned_at = coalesce(abandoned_at, now())
			WHERE object IN (
				SELECT object
				FROM uploads
				WHERE created_at <= clock_timestamp() - $1::interval
				ORDER BY created_at
				LIMIT $2
				FOR UPDATE SKIP LOCKED)
			RETURNING object`, quiet, limit)
		return err
	})
	return objects, err
}
