package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/vector"
)

// maxPlainDimensions is the most that a vector may have to stay in its row.
const maxPlainDimensions = 3000

// passagesTable returns the name of the table that the passages of a space stand
// in. Every statement names it: one on `passages`, the parent of the spaces' own
// tables, would be planned for all of them, and lock them all.
//
// A space moves from the shared table to its own, and never back. Code that
// reads the space and then its passages does both in one snapshot (see
// inSnapshot), or holds it (see queueHold).
func passagesTable(space vector.Space) string {
	switch {
	case space.OwnTable:
		return ownTable(space.ID)
	case space.Model.Dimensions > maxPlainDimensions:
		return "shared_passages_long"
	default:
		return "shared_passages"
	}
}

func ownTable(space int64) string { return fmt.Sprintf("passages_%d", space) }

// passageColumns are those of a passage but space and created_at.
const passageColumns = `hash, tokens, embedding, title, heading_path, context, content, omitted, embedded_bytes`

// Who writes passages of a space holds a shared lock on where they stand, and
// moving and dropping them takes an exclusive one.
const (
	lockStorageShared    = `SELECT pg_advisory_xact_lock_shared(hashtextextended('storage/' || $1::bigint, 0))`
	lockStorageExclusive = `SELECT pg_advisory_xact_lock(hashtextextended('storage/' || $1::bigint, 0))`
)

// heldSpace is a space whose passages stay in their table until the transaction ends.
type heldSpace struct {
	vector.Space
	moving bool // to its own table, which is to have what is written too
}

// queueHoldSpace holds a space and reads it, or answers fault.Conflict when it is
// dropped. The second statement begins when the lock is held.
func queueHoldSpace(batch *pgx.Batch, id int64, space *heldSpace) {
	batch.Queue(lockStorageShared, id)
	batch.Queue(`
		SELECT `+spaceColumns+`, s.storage = 'moving'
		FROM spaces s
		WHERE s.id = $1 AND s.drop_after IS DISTINCT FROM '-infinity'`, id).QueryRow(func(row pgx.Row) error {
		err := row.Scan(append(spaceFields(&space.Space), &space.moving)...)
		if isNoRows(err) {
			err = errSpaceDropped(id)
		}
		return err
	})
}

func errSpaceDropped(space int64) error {
	return fault.New(fault.Conflict, "space %d was dropped meanwhile", space)
}

func holdSpace(ctx context.Context, tx pgx.Tx, id int64) (space heldSpace, err error) {
	var batch pgx.Batch
	queueHoldSpace(&batch, id, &space)
	return space, tx.SendBatch(ctx, &batch).Close()
}

// mirrorPassages copies passages that were added to a space into the table that the space
// is moving to.
func (space heldSpace) mirrorPassages(ctx context.Context, tx pgx.Tx, hashes [][]byte) error {
	if !space.moving {
		return nil
	}
	_, err := tx.Exec(ctx, `
		INSERT INTO `+ownTable(space.ID)+` (space, created_at, `+passageColumns+`)
		SELECT space, created_at, `+passageColumns+`
		FROM `+passagesTable(space.Space)+`
		WHERE space = $1 AND hash = ANY ($2)
		ORDER BY hash
		ON CONFLICT DO NOTHING`, space.ID, hashes)
	return err
}
