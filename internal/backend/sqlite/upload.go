package sqlite

import (
	"context"
	"time"

	"github.com/seed-7a112592/gristmill/internal/fault"
)

// BeginUpload notes that an object is about to be written.
func (s *Store) BeginUpload(ctx context.Context, object string) (err error) {
	defer wrapError(&err, "begin upload of object %s", object)
	return s.inWriteTransaction(ctx, func(tx transaction) error {
		_, err := tx.ExecContext(ctx, `
			INSERT INTO uploads (tenant, object, created_at) VALUES (?1, ?2, ?3)`, tx.tenant, object, tx.now)
		return err
	})
}

// AbortUpload removes the note of an object that is gone.
func (s *Store) AbortUpload(ctx context.Context, object string) (err error) {
	defer wrapError(&err, "end upload of object %s", object)
	return s.inWriteTransaction(ctx, func(tx transaction) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM uploads WHERE tenant = ?1 AND object = ?2`, tx.tenant, object)
		return err
	})
}

// consumeUpload removes the note of an object whose document is accepted in the
// same transaction, unless the sweep has been there before.
func consumeUpload(ctx context.Context, tx transaction, object string) error {
	result, err := tx.ExecContext(ctx, `
		DELETE FROM uploads WHERE tenant = ?1 AND object = ?2`, tx.tenant, object)
	if err != nil {
		return err
	}
	if taken, err := result.RowsAffected(); err != nil || taken > 0 {
		return err
	}
	return fault.New(fault.NotFound, "the upload of object %s was given up", object)
}

// ExpireUploads lists the objects of uploads that were begun longer than quiet
// ago, and takes their notes, so that they are never accepted.
func (s *Store) ExpireUploads(ctx context.Context, quiet time.Duration, limit int) (abandoned int, err error) {
	defer wrapError(&err, "abandon uploads")
	const old = `SELECT object FROM uploads WHERE tenant = ?1 AND created_at <= ?2 ORDER BY created_at, object LIMIT ?3`
	err = s.inWriteTransaction(ctx, func(tx transaction) error {
		if abandoned, err = rowsAffected(tx.ExecContext(ctx, `
			INSERT INTO garbage (tenant, kind, due_at, object) SELECT ?1, 'object', ?4, object FROM (`+old+`)`,
			tx.tenant, tx.now.add(-quiet), limit, tx.now)); err != nil || abandoned == 0 {
			return err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM uploads WHERE tenant = ?1 AND object IN (`+old+`)`, tx.tenant, tx.now.add(-quiet), limit)
		return err
	})
	return abandoned, err
}
