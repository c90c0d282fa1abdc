package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/garbage"
)

// collectSpace removes a space whose time is over: its space versions, its places,
// its passages and then the space, up to limit of all these together. Nothing is
// written to it from then on, and it never comes back. The entry
// of one that is kept is dropped: leaving it lists it again.
func collectSpace(ctx context.Context, tx transaction, g garbage.Entry, ahead time.Duration, limit int) (more bool, err error) {
	var over, needed bool
	err = tx.QueryRowContext(ctx, `
		SELECT s.drop_after <= ?3, s.id = c.active_space OR `+isBeingBuilt+`
		FROM spaces s
		JOIN collections c ON c.tenant = s.tenant AND c.id = s.collection
		WHERE s.tenant = ?1 AND s.id = ?2 AND s.drop_after IS NOT NULL`, tx.tenant, g.SpaceID, tx.now.add(ahead)).Scan(&over, &needed)
	switch {
	case errors.Is(err, sql.ErrNoRows) || err == nil && !over:
		return false, deleteGarbageEntry(ctx, tx, g)
	case err != nil:
		return false, err
	case needed:
		return false, fault.New(fault.Conflict, "it is needed again")
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
