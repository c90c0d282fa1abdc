package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/garbage"
)

// collectPassages removes those passages of an entry that stand nowhere.
//
// Those that stand somewhere are dropped from the list: whatever removes their
// places lists them again. So are those that an attempt has paid for: its entry
// names them. Nothing is removed from a space that a reindex builds, or that
// nothing is written to: a reindex may have paid for them, or comes back to it.
func collectPassages(ctx context.Context, tx transaction, g garbage.Entry) error {
	var sweepable, unended bool
	err := tx.QueryRowContext(ctx, `
		SELECT s.written AND NOT `+isBeingBuilt+`,
		       EXISTS (SELECT 1 FROM tasks t
		               WHERE t.tenant = ?1 AND t.document = ?3 AND t.version = ?4 AND t.kind = 'knowledge'
		                 AND t.state IN ('queued', 'running', 'waiting'))
		FROM spaces s
		WHERE s.tenant = ?1 AND s.id = ?2`, tx.tenant, g.SpaceID, g.DocumentID, g.Version).Scan(&sweepable, &unended)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return deleteGarbageEntry(ctx, tx, g)
	case err != nil:
		return err
	case !sweepable:
		return fault.New(fault.Conflict, "a reindex may need them")
	case unended && g.DocumentID != uuid.Nil:
		return fault.New(fault.Conflict, "the task that paid for them has not ended")
	}
	if _, err := tx.ExecContext(ctx, `
		DELETE FROM passages WHERE id IN (
			SELECT p.id
			FROM garbage mine
			CROSS JOIN json_each(mine.hashes) h
			CROSS JOIN passages p ON p.tenant = ?1 AND p.space = ?2 AND p.hash = unhex(h.value)
			WHERE mine.tenant = ?1 AND mine.id = ?3
			  AND NOT EXISTS (SELECT 1 FROM manifest m WHERE m.passage = p.id)
			  AND NOT EXISTS (SELECT 1 FROM garbage g CROSS JOIN json_each(g.hashes) paid
			                  WHERE g.tenant = ?1 AND g.kind IN ('passages', 'space') AND g.space = ?2
			                    AND g.document IS NOT NULL AND g.id <> ?3 AND paid.value = h.value))`,
		tx.tenant, g.SpaceID, g.ID); err != nil {
		return err
	}
	return deleteGarbageEntry(ctx, tx, g)
}
