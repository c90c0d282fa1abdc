package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/garbage"
)

// collectSpace removes a space that is no longer retained: its space versions, its manifest
// entries, its passages and then the space, up to limit rows of all these together.
// Nothing is written to it from then on, and it is never used again. The entry of a space
// that is used again is deleted: retiring it adds another.
func collectSpace(ctx context.Context, tx transaction, g garbage.Entry, ahead time.Duration, limit int) (more bool, err error) {
	var collection uuid.UUID
	var built bool
	err = tx.QueryRowContext(ctx, `SELECT s.collection, `+isBeingBuilt+` FROM spaces s WHERE s.tenant = ?1 AND s.id = ?2`, tx.tenant, g.SpaceID).Scan(&collection, &built)
	if errors.Is(err, sql.ErrNoRows) {
		return false, deleteGarbageEntry(ctx, tx, g)
	}
	if err != nil {
		return false, err
	}
	c, err := loadCollection(ctx, tx, collection)
	if err != nil {
		return false, err
	}
	needed, err := c.CollectSpace(g.SpaceID, built, ahead, tx.now.time())
	switch {
	case err != nil:
		return false, err
	case needed:
		return false, deleteGarbageEntry(ctx, tx, g)
	}
	if _, err := tx.ExecContext(ctx, `
		UPDATE spaces SET written = false, drop_after = min(drop_after, ?3) WHERE tenant = ?1 AND id = ?2`, tx.tenant, g.SpaceID, tx.now); err != nil {
		return false, err
	}
	_, err = deleteSpaceRows(ctx, tx, g.SpaceID, limit)
	return true, err
}

// deleteSpaceRows removes up to limit things: what is in a space, and the space once
// nothing is. Until no version is said to be whole in it, all places stay.
// Passages go after the places that name them, and at their pace, so that no
// call looks again at what others have passed over: half of what is left of the
// limit is for places.
func deleteSpaceRows(ctx context.Context, tx transaction, space int64, limit int) (dropped int, err error) {
	dropped, err = rowsAffected(tx.ExecContext(ctx, `
		DELETE FROM space_versions WHERE (tenant, document, version, space) IN (
			SELECT tenant, document, version, space FROM space_versions
			WHERE tenant = ?1 AND space = ?2
			LIMIT ?3)`, tx.tenant, space, limit))
	if err != nil || dropped == limit {
		return dropped, err
	}
	left := limit - dropped
	places, err := rowsAffected(tx.ExecContext(ctx, `
		DELETE FROM manifest WHERE (tenant, document, version, space, ordinal) IN (
			SELECT m.tenant, m.document, m.version, m.space, m.ordinal
			FROM passages p
			CROSS JOIN manifest m ON m.passage = p.id
			WHERE p.tenant = ?1 AND p.space = ?2
			LIMIT ?3)`, tx.tenant, space, (left+1)/2))
	if err != nil {
		return dropped, err
	}
	passages, err := rowsAffected(tx.ExecContext(ctx, `
		DELETE FROM passages WHERE id IN (
			SELECT p.id FROM passages p
			WHERE p.tenant = ?1 AND p.space = ?2 AND NOT EXISTS (SELECT 1 FROM manifest m WHERE m.passage = p.id)
			LIMIT ?3)`, tx.tenant, space, left-places))
	if dropped += places + passages; err != nil || dropped == limit {
		return dropped, err
	}
	spaces, err := rowsAffected(tx.ExecContext(ctx, `
		DELETE FROM spaces
		WHERE tenant = ?1 AND id = ?2 AND NOT EXISTS (SELECT 1 FROM passages WHERE tenant = ?1 AND space = ?2)`,
		tx.tenant, space))
	return dropped + spaces, err
}

// rowsAffected returns how many rows a statement removed.
func rowsAffected(result sql.Result, err error) (int, error) {
	if err != nil {
		return 0, err
	}
	count, err := result.RowsAffected()
	return int(count), err
}
