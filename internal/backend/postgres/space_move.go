package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/vector"
)

const (
	// movePageRows is how many passages one transaction of a move copies or deletes.
	movePageRows = 500

	// moveLockTimeout bounds the wait for who writes to the space: others that
	// come to write to it wait behind.
	moveLockTimeout = "100ms"

	// moveLockTries is how often the lock is tried, moveAgain apart, before the move
	// is left for another time.
	moveLockTries         = 50
	moveLockRetryInterval = 200 * time.Millisecond
)

// MoveSpaceToOwnTable moves the passages of a space from the shared table to one of its
// own. While the space is moving, every write goes to both tables, so that
// they hold the same when what was there before is copied, and the switch
// changes one row. Each step may be the last of this process: the next call
// goes on from there. Several calls may run at once.
func (s *Store) MoveSpaceToOwnTable(ctx context.Context, space vector.Space) (err error) {
	defer wrapError(&err, "move space %d", space.ID)
	if err := s.advanceMove(ctx, space.ID, "shared", "moving"); err != nil {
		return err
	}
	if err := s.forEachSharedPage(ctx, space.ID, copySharedPage); err != nil {
		return err
	}
	if err := s.advanceMove(ctx, space.ID, "moving", "moved"); err != nil {
		return err
	}
	if err := s.forEachSharedPage(ctx, space.ID, deleteSharedPage); err != nil {
		return err
	}
	return s.advanceMove(ctx, space.ID, "moved", "own")
}

// advanceMove takes a space from one step of its move to the next, unless it was
// taken there or dropped. Nobody writes to the space at that moment.
func (s *Store) advanceMove(ctx context.Context, space int64, from, to string) error {
	for try := 1; ; try++ {
		err := s.inTenant(ctx, func(tx pgx.Tx) error { return tryAdvanceMove(ctx, tx, space, from, to) })
		if sqlState(err) != lockNotAvailable || try == moveLockTries {
			return err
		}
		select {
		case <-time.After(moveLockRetryInterval):
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		}
	}
}

func tryAdvanceMove(ctx context.Context, tx pgx.Tx, space int64, from, to string) error {
	var batch pgx.Batch
	queueSetMoveLockTimeout(&batch)
	due := false
	batch.Queue(`
		SELECT FROM spaces
		WHERE id = $1 AND storage = $2 AND drop_after IS DISTINCT FROM '-infinity'
		FOR NO KEY UPDATE`, space, from).Query(func(rows pgx.Rows) error {
		due = rows.Next()
		rows.Close()
		return rows.Err()
	})
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil || !due {
		return err
	}
	batch = pgx.Batch{}
	if to == "moving" {
		batch.Queue(`SELECT add_partition($1)`, space)
	}
	batch.Queue(lockStorageExclusive, space)
	batch.Queue(`UPDATE spaces SET storage = $2 WHERE id = $1`, space, to)
	return tx.SendBatch(ctx, &batch).Close()
}

// lockNotAvailable is the SQLSTATE of a lock that was waited for too long.
const lockNotAvailable = "55P03"

func queueSetMoveLockTimeout(batch *pgx.Batch) {
	batch.Queue(`SELECT set_config('lock_timeout', $1, true)`, moveLockTimeout)
}

// sharedPageFunc does something to the next passages of a space in the shared table, after
// a hash, and returns the last one's; nil when there are no more.
type sharedPageFunc func(ctx context.Context, tx pgx.Tx, space heldSpace, after []byte) (last []byte, err error)

// forEachSharedPage goes through all passages of a space in the shared table, until it is
// dropped.
func (s *Store) forEachSharedPage(ctx context.Context, space int64, do sharedPageFunc) error {
	for after := []byte{}; after != nil; {
		if err := s.inTenant(ctx, func(tx pgx.Tx) error {
			space, err := holdSpace(ctx, tx, space)
			if err == nil {
				after, err = do(ctx, tx, space, after)
			}
			return err
		}); fault.Is(err, fault.Conflict) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}

// copySharedPage copies passages to the space's own table. The lock keeps them from
// being removed from the shared table meanwhile, and from there alone.
func copySharedPage(ctx context.Context, tx pgx.Tx, space heldSpace, after []byte) (last []byte, err error) {
	if !space.moving { // another process has gone further
		return nil, nil
	}
	err = tx.QueryRow(ctx, `
		WITH slice AS MATERIALIZED (
			SELECT space, created_at, `+passageColumns+`
			FROM `+passagesTable(space.Space)+`
			WHERE space = $1 AND hash > $2
			ORDER BY hash
			LIMIT $3
			FOR KEY SHARE
		), copied AS (
			INSERT INTO `+ownTable(space.ID)+` (space, created_at, `+passageColumns+`)
			SELECT * FROM slice
			ON CONFLICT DO NOTHING
		)
		SELECT hash FROM slice ORDER BY hash DESC LIMIT 1`, space.ID, after, movePageRows).Scan(&last)
	if isNoRows(err) {
		return nil, nil
	}
	return last, err
}

// deleteSharedPage deletes passages that stand in the space's own table by now.
func deleteSharedPage(ctx context.Context, tx pgx.Tx, space heldSpace, after []byte) (last []byte, err error) {
	if !space.OwnTable {
		return nil, nil
	}
	shared := space.Space
	shared.OwnTable = false
	err = tx.QueryRow(ctx, `
		WITH slice AS MATERIALIZED (
			SELECT ctid, hash
			FROM `+passagesTable(shared)+`
			WHERE space = $1 AND hash > $2
			ORDER BY hash
			LIMIT $3
		), deleted AS (
			DELETE FROM `+passagesTable(shared)+`
			WHERE ctid = ANY (ARRAY(SELECT ctid FROM slice))
		)
		SELECT hash FROM slice ORDER BY hash DESC LIMIT 1`, space.ID, after, movePageRows).Scan(&last)
	if isNoRows(err) {
		return nil, nil
	}
	return last, err
}
