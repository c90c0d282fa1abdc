package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// loadIdempotencyKey returns the answer to an earlier upload under the same idempotency
// key, if there was one.
func loadIdempotencyKey(ctx context.Context, tx transaction, upload original.Upload) (answer document.Accepted, err error) {
	var fingerprint string
	var text []byte
	err = tx.QueryRowContext(ctx, `
		SELECT fingerprint, answer FROM idempotency_keys WHERE tenant = ?1 AND key = ?2`,
		tx.tenant, upload.IdempotencyKey).Scan(&fingerprint, &text)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return answer, nil
	case err != nil:
		return answer, err
	case fingerprint != upload.Fingerprint:
		return answer, fault.New(fault.Conflict,
			"the idempotency key was used for an upload of other content or with other settings; use a new key for a new upload")
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return answer, fmt.Errorf("answer kept under an idempotency key: %w", err)
	}
	answer.Replayed = true
	return answer, nil
}

func saveIdempotencyKey(ctx context.Context, tx transaction, upload original.Upload, answer document.Accepted) error {
	text, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `
		INSERT INTO idempotency_keys (tenant, key, fingerprint, answer, created_at) VALUES (?1, ?2, ?3, ?4, ?5)`,
		tx.tenant, upload.IdempotencyKey, upload.Fingerprint, string(text), tx.now)
	return err
}

// DeleteExpiredIdempotencyKeys removes answers that were given longer than age ago.
func (s *Store) DeleteExpiredIdempotencyKeys(ctx context.Context, age time.Duration, limit int) (expired int, err error) {
	defer wrapError(&err, "expire idempotency keys")
	err = s.inWriteTransaction(ctx, func(tx transaction) error {
		result, err := tx.ExecContext(ctx, `
			DELETE FROM idempotency_keys
			WHERE tenant = ?1 AND key IN (
				SELECT key FROM idempotency_keys
				WHERE tenant = ?1 AND created_at <= ?2
				ORDER BY created_at
				LIMIT ?3)`, tx.tenant, tx.now.add(-age), limit)
		if err != nil {
			return err
		}
		count, err := result.RowsAffected()
		expired = int(count)
		return err
	})
	return expired, err
}
