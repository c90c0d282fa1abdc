package postgres

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/garbage"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// collectPassages removes those passages of an entry that stand nowhere.
//
// Those that stand somewhere are dropped from the list: whatever removes their
// places lists them again. So are those that an attempt has paid for: its entry
// names them. Nothing is removed from a space that a reindex builds, or that
// nothing is written to: a reindex may have paid for them, or comes back to it.
func collectPassages(ctx context.Context, tx pgx.Tx, g garbage.Entry) error {
	hashes, err := queryAll(ctx, tx, scanHash, `SELECT unnest(hashes) FROM garbage WHERE id = $1`, g.ID)
	if err != nil || len(hashes) == 0 {
		return err
	}
	var sweepable bool
	err = tx.QueryRow(ctx, `
		SELECT s.written AND NOT `+isBeingBuilt+`
		FROM spaces s
		WHERE s.id = $1`, g.SpaceID).Scan(&sweepable)
	switch {
	case isNoRows(err):
		return deleteGarbageEntries(ctx, tx, g)
	case err != nil:
		return err
	case !sweepable:
		return fault.New(fault.Conflict, "a reindex may need them")
	}
	if err := checkAttemptEnded(ctx, tx, g); err != nil {
		return err
	}
	space, err := holdSpace(ctx, tx, g.SpaceID)
	if err != nil {
		return err
	}
	kept, err := deleteOrphanPassages(ctx, tx, space, g, hashes)
	if err != nil {
		return err
	}
	if len(kept) == 0 {
		return deleteGarbageEntries(ctx, tx, g)
	}
	_, err = tx.Exec(ctx, `
		UPDATE garbage SET hashes = $2, due_at = clock_timestamp() + '1 minute' WHERE id = $1`, g.ID, hashBytes(kept))
	return err
}

// checkAttemptEnded fails while the task may be tried again that has paid for an
// entry's passages.
func checkAttemptEnded(ctx context.Context, tx pgx.Tx, g garbage.Entry) error {
	if g.DocumentID == uuid.Nil {
		return nil
	}
	var unended bool
	err := tx.QueryRow(ctx, `
		SELECT EXISTS (SELECT FROM tasks
		               WHERE document = $1 AND version = $2 AND kind = $3 AND state IN ('queued', 'running', 'waiting'))`,
		g.DocumentID, g.Version, task.KindKnowledge).Scan(&unended)
	if err == nil && unended {
		err = fault.New(fault.Conflict, "the task that paid for them has not ended")
	}
	return err
}

// deleteOrphanPassages locks orphans first and deletes them in a second statement,
// which looks again: a Write that held a passage (see holdPassages) may have
// committed its place after the first statement began, so that the first
// could not see it, and before the lock was had. The second sees it. Writes
// that come later wait for the lock and then miss the passage. What a Write
// holds at the moment is kept on the list: it may be rolled back.
func deleteOrphanPassages(ctx context.Context, tx pgx.Tx, space heldSpace, g garbage.Entry, hashes []document.ContentHash) (kept []document.ContentHash, err error) {
	orphans, err := queryAll(ctx, tx, scanHash, `
		SELECT hash
		FROM `+passagesTable(space.Space)+` p
		WHERE space = $1 AND hash = ANY ($2)
		  AND NOT EXISTS (SELECT FROM manifest m WHERE m.space = $1 AND m.hash = p.hash OFFSET 0)
		  AND NOT EXISTS (SELECT FROM garbage g, unnest(g.hashes) AS paid
		                  WHERE g.kind = 'passages' AND g.space = $1 AND g.document IS NOT NULL AND g.id <> $3 AND paid = p.hash)`,
		g.SpaceID, hashBytes(hashes), g.ID)
	if err != nil || len(orphans) == 0 {
		return nil, err
	}
	locked, err := queryAll(ctx, tx, scanHash, `
		SELECT hash FROM `+passagesTable(space.Space)+` WHERE space = $1 AND hash = ANY ($2) ORDER BY hash FOR UPDATE SKIP LOCKED`, g.SpaceID, hashBytes(orphans))
	if err != nil {
		return nil, err
	}
	removed, err := queryAll(ctx, tx, scanHash, `
		DELETE FROM `+passagesTable(space.Space)+` p
		WHERE space = $1 AND hash = ANY ($2)
		  AND NOT EXISTS (SELECT FROM manifest m WHERE m.space = $1 AND m.hash = p.hash OFFSET 0)
		RETURNING hash`, g.SpaceID, hashBytes(locked))
	if err == nil && space.moving {
		_, err = tx.Exec(ctx, `DELETE FROM `+ownTable(space.ID)+` WHERE space = $1 AND hash = ANY ($2)`, space.ID, hashBytes(removed))
	}
	if err != nil {
		return nil, err
	}
	mine := make(map[document.ContentHash]bool, len(locked))
	for _, hash := range locked {
		mine[hash] = true
	}
	for _, hash := range orphans {
		if !mine[hash] {
			kept = append(kept, hash)
		}
	}
	return kept, nil
}
