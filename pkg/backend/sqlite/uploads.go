package sqlite

import (
	"context"
	"time"

	"github.com/seed-7a112592/gristmill/pkg/fault"
)

// BeginUpload notes that an object is about to be written.
func (s *Store) BeginUpload(ctx context.Context, object string) (err error) {
	defer describe(&err, "begin upload of object %s", object)
	return s.write(ctx, func(tx transaction) error {
		_, err := tx.ExecContext(ctx, `
			INSERT INTO uploads (tenant, object, created_at) VALUES (?1, ?2, ?3)`, tx.tenant, object, tx.now)
		return err
	})
}

// EndUpload removes the note of an object that is gone.
func (s *Store) EndUpload(ctx context.Context, object string) (err error) {
	defer describe(&err, "end upload of object %s", object)
	return s.write(ctx, func(tx transaction) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM uploads WHERE tenant = ?1 AND object = ?2`, tx.tenant, object)
		return err
	})
}

// takeNote removes the note of an object whose document is accepted in the
// same transaction, unless the sweep has been there before.
func takeNote(ctx context.Context, tx transaction, object string) error {
	result, err := tx.ExecContext(ctx, `
		DELETE FROM uploads WHERE tenant = ?1 AND object = ?2 AND abandoned_at IS NULL`, tx.tenant, object)
	if err != nil {
		return err
	}
	if taken, err := result.RowsAffected(); err != nil || taken > 0 {
		return err
	}
	return fault.New(fault.NotFound, "the upload of object %s was given up", object)
}

// Abandoned marks notes older than quiet as abandoned and returns their
// objects.
func (s *Store) Abandoned(ctx context.Context, quiet time.Duration, limit int) (objects []string, err error) {
	defer describe(&err, "abandon uploads")
	err = s.write(ctx, func(tx transaction) error {
		rows, err := tx.QueryContext(ctx, `
			UPDATE uploads SET abandoned_at = coalesce(abandoned_at, ?2)
			WHERE tenant = ?1 AND object IN (
				SELECT object FROM uploads
				WHERE tenant = ?1 AND created_at <= ?3
				ORDER BY created_at
				LIMIT ?4)
			RETURNING object`, tx.tenant, tx.now, tx.now.add(-quiet), limit)
		objects, err = collect(rows, err, func(row scanner) (object string, err error) { return object, row.Scan(&object) })
		return err
	})
	return objects, err
}
