package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// lockIdempotencyKey returns the answer to an earlier upload under the same
// idempotency key, if there was one. Until the transaction ends nobody else
// answers under that key.
func lockIdempotencyKey(ctx context.Context, tx pgx.Tx, upload original.Upload) (answer document.Accepted, err error) {
	var fingerprint string
	var batch pgx.Batch
	batch.Queue(`
		SELECT pg_advisory_xact_lock(hashtextextended('idempotency/' || current_setting('gristmill.tenant') || '/' || $1::text, 0))`,
		upload.IdempotencyKey)
	batch.Queue(`SELECT fingerprint, answer FROM idempotency_keys WHERE key = $1`, upload.IdempotencyKey).
		QueryRow(func(row pgx.Row) error { return row.Scan(&fingerprint, &answer) })
	err = tx.SendBatch(ctx, &batch).Close()
	switch {
	case isNoRows(err):
		return document.Accepted{}, nil
	case err != nil:
		return document.Accepted{}, err
	case fingerprint != upload.Fingerprint:
		return document.Accepted{}, fault.New(fault.Conflict,
			"the idempotency key was used for an upload of other content or with other settings; use a new key for a new upload")
	}
	answer.Replayed = true
	return answer, nil
}

func saveIdempotencyKey(ctx context.Context, tx pgx.Tx, upload original.Upload, answer document.Accepted) error {
	_, err := tx.Exec(ctx, `
		INSERT INTO idempotency_keys (key, fingerprint, answer) VALUES ($1, $2, $3)`,
		upload.IdempotencyKey, upload.Fingerprint, answer)
	if err != nil {
		return fmt.Errorf("keep the answer: %w", err)
	}
	return nil
}

// DeleteExpiredIdempotencyKeys removes answers that were given longer than age ago.
func (s *Store) DeleteExpiredIdempotencyKeys(ctx context.Context, age time.Duration, limit int) (expired int, err error) {
	defer wrapError(&err, "expire idempotency keys")
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `
			DELETE FROM idempotency_keys
			WHERE key IN (SELECT key FROM idempotency_keys
			              WHERE created_at <= statement_timestamp() - $1::interval
			              ORDER BY created_at
			              LIMIT $2)`, age, limit)
		expired = int(tag.RowsAffected())
		return err
	})
	return expired, err
}
